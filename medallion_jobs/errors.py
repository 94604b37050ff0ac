"""Every error a user can see, and its exit code.

    MedallionError
    ├── DataError        1   the data or the pipeline is wrong
    │   └── Refused      1   starting would write wrong tables
    ├── UsageError       2   wrong command, flag or path
    │   ├── NoSuchColumn 2   the config names a column that is not there
    │   └── ConfigError  2   (medallion_jobs.config) every mistake of a config at once
    └── TransientError  75   a retry may succeed
        └── LockHeld    75   the query is already running

Any other exception is a bug and exits with 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from medallion_jobs.masking import masked


class MedallionError(Exception):
    """An error that a user can act on. Its text never holds a secret.

    Args:
        what: what happened, to which file, row, key or table.
        untouched: what did not change, as a sentence; empty when nothing could have changed.
        next_step: the command to type next, or the thing to fix.
        code: the stable name of this error; docs/errors.md lists all of them.
    """

    exit_code = 3

    def __init__(self, what: str, *, code: str, untouched: str = "", next_step: str = "") -> None:
        self.code = code
        self.what = masked(what)
        self.untouched = masked(untouched)
        self.next_step = masked(next_step)
        super().__init__(self.what)

    def as_dict(self) -> dict[str, object]:
        """The error as the JSON output has it."""
        return {
            "code": self.code,
            "exit_code": self.exit_code,
            "what": self.what,
            "untouched": self.untouched,
            "next_step": self.next_step,
        }

    def __str__(self) -> str:
        lines = [self.what]
        if self.untouched:
            lines.append(f"  untouched: {self.untouched}")
        if self.next_step:
            lines.append(f"  next:      {self.next_step}")
        return "\n".join(lines)


class DataError(MedallionError):
    """The data or the pipeline is wrong; a retry without a fix fails again."""

    exit_code = 1


class Refused(DataError):
    """A query was not started because it would have written wrong tables."""


class UsageError(MedallionError):
    """A wrong command, flag or path."""

    exit_code = 2


class NoSuchColumn(UsageError):
    """The config names columns that rows or a table do not have.

    Attributes:
        owner: who lacks them, such as `silver.customers`.
        missing: the names.
        known: the columns that there are.
        others: as for every error.
    """

    def __init__(
        self,
        owner: str,
        missing: Sequence[str],
        known: Sequence[str],
        **others: str,
    ) -> None:
        names = ", ".join(missing)
        super().__init__(f"{owner} has no column {names}; it has {', '.join(known)}", **others)
        self.owner, self.missing, self.known = owner, tuple(missing), tuple(known)


class TransientError(MedallionError):
    """A retry may succeed: a lock is held, a disk is full, a network is down."""

    exit_code = 75


class LockHeld(TransientError):
    """The query is already running.

    Attributes:
        holder: the process that holds the lock, from the lock file (pid, host, user, since …).
    """

    def __init__(self, what: str, *, holder: dict[str, object], next_step: str = "") -> None:
        super().__init__(
            what,
            code="query_already_running",
            untouched="nothing was started",
            next_step=next_step,
        )
        self.holder = holder


def rebuild_command(table: object, *options: str) -> str:
    """The command that computes a table again, without `--yes`: it shows what it would do.

    Rows of bronze are not written again; of a bronze table, it reads files again that gave no row.

    Args:
        table: its name, such as `silver.orders`.
        options: more options of the command.
    """
    verb = "checkpoint reset" if str(table).startswith("bronze.") else "rebuild"
    return " ".join(["medallion", verb, str(table), *options, '--reason "…"'])
