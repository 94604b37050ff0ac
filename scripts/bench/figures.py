"""Medians, ratios and their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One number of several rounds.

    Attributes:
        middle: the median.
        least, most: the spread.
    """

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Figure:
        """Of at least one round."""
        return cls(median(rounds), min(rounds), max(rounds))

    def shown(self, digits: int, unit: str = "") -> str:
        """`12.3 s (11.9 to 13.0)`; without the spread where all rounds agree."""
        middle, least, most = (f"{one:,.{digits}f}" for one in (self.middle, self.least, self.most))
        spread = "" if least == most else f" ({least} to {most})"
        return f"{middle}{unit}{spread}"


def ratio(over: Sequence[float], under: Sequence[float]) -> Figure:
    """The ratio of two contenders, round by round: both sides of one had the same machine.

    Raises:
        ValueError: they do not have the same number of rounds.
    """
    return Figure.of([one / other for one, other in zip(over, under, strict=True)])


def quantile(values: Sequence[float], part: float) -> float:
    """The least value that `part` of all values do not exceed: 0.99 for p99."""
    ordered = sorted(values)
    at = max(0, -int(-part * len(ordered) // 1) - 1)
    return ordered[min(at, len(ordered) - 1)]


def growth(values: Sequence[float]) -> float:
    """The median of the last third over that of the first third."""
    third = max(1, len(values) // 3)
    return median(values[-third:]) / median(values[:third])
