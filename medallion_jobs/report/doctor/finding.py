"""One thing that is not as it should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

# A run would be refused or write wrong tables; it should be looked at; it is good to know.
ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        code: its stable name; that of the error, where a run would end with one.
        severity: `error`, `warning` or `note`.
        where: the table, file or folder.
        what: what is wrong.
        fix: what to do or to type.
        repair: does it, where that is safe whatever happened; else None.
        fixed: what was done about it; empty if nothing was.
    """

    code: str
    severity: str
    where: str
    what: str
    fix: str = ""
    repair: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    fixed: str = ""
