"""The result of an audit: counts that must agree, and where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mismatch:
    """A file, batch or commit whose counts do not agree.

    Attributes:
        where: describes the file, batch or commit.
    """

    where: str
    expected: int | None = None
    found: int | None = None


@dataclass(frozen=True)
class Check:
    """A comparison of two counts.

    Attributes:
        what: what is counted.
        expected, found: equal if the table is right.
        unknown: rows that no metrics account for; `found` may be less than `expected` by these.
        parts: the counts that add up to `found`.
        mismatches: the first mismatches.
        wrong: the number of all mismatches.
    """

    what: str
    expected: int
    found: int
    unknown: int = 0
    parts: Mapping[str, int] = field(default_factory=dict)
    mismatches: tuple[Mismatch, ...] = ()
    wrong: int = 0

    @property
    def is_right(self) -> bool:
        return not self.wrong and 0 <= self.expected - self.found <= self.unknown


@dataclass(frozen=True)
class Audit:
    """The checks of one table.

    Attributes:
        of: what it was compared with, such as `bronze.sales at version 3`.
        remarks: what could not be compared, and why.
    """

    table: str
    of: str
    checks: tuple[Check, ...]
    remarks: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        return all(check.is_right for check in self.checks)
