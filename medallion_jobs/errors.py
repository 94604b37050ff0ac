"""Every error a user can meet, and the exit code it ends with.

    MedallionError
    ├── DataError        1   the data or the pipeline says no
    │   └── Refused      1   starting would write wrong tables
    ├── UsageError       2   wrong command, flag or place
    │   └── ConfigError  2   (medallion_jobs.config) every mistake of a config at once
    └── TransientError  75   worth a retry, as it is
        └── LockHeld    75   the query runs already

Whatever else reaches the top is a bug and ends with 3.
"""

from __future__ import annotations

from medallion_jobs.masking import masked


class MedallionError(Exception):
    """Says what happened, what was left untouched and what to type next; never a secret.

    Args:
        what: what happened, to which file, row, key or table.
        untouched: what did not change, as a sentence; empty when nothing could have.
        next_step: the command to type next, or the thing to mend.
    """

    exit_code = 3

    def __init__(self, what: str, *, untouched: str = "", next_step: str = "") -> None:
        self.what = masked(what)
        self.untouched = masked(untouched)
        self.next_step = masked(next_step)
        super().__init__(self.what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.untouched:
            lines.append(f"  untouched: {self.untouched}")
        if self.next_step:
            lines.append(f"  next:      {self.next_step}")
        return "\n".join(lines)


class DataError(MedallionError):
    """The data or the pipeline says no."""

    exit_code = 1


class Refused(DataError):
    """A query was not started because it would have written wrong tables."""


class UsageError(MedallionError):
    """A wrong command, flag or place."""

    exit_code = 2


class TransientError(MedallionError):
    """Something that may well work the next time: a lock, a full disk, a network."""

    exit_code = 75


class LockHeld(TransientError):
    """The query is running already.

    Attributes:
        holder: what the lock file says of who holds it (pid, host, user, started …).
    """

    def __init__(self, what: str, *, holder: dict[str, object], next_step: str = "") -> None:
        super().__init__(what, untouched="nothing was started", next_step=next_step)
        self.holder = holder
