"""What an audit tells: numbers that must agree, and where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mismatch:
    """One thing whose numbers do not agree.

    Attributes:
        where: the file, the batch or the commit.
    """

    where: str
    expected: int | None = None
    found: int | None = None


@dataclass(frozen=True)
class Check:
    """One account.

    Attributes:
        what: what was counted.
        expected, found: two numbers that are the same where nothing is wrong.
        unknown: how much of `expected` nobody counted; `found` may lack so much of it.
        parts: what `found` is made of.
        mismatches: some of what is wrong, and `wrong` how many there are.
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
    """What was found of one table.

    Attributes:
        of: what it was held against, such as `bronze.sales at version 3`.
        remarks: what could not be compared, and why.
    """

    table: str
    of: str
    checks: tuple[Check, ...]
    remarks: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        return all(check.is_right for check in self.checks)
