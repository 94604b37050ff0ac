"""Decides whether a query that failed in a continuous run starts again, and when."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from medallion_jobs.config import Restart
from medallion_jobs.errors import DataError, LockHeld, MedallionError, TransientError

# Failures that a batch may be the cause of, although another try may succeed.
_MAY_BE_THE_BATCH = frozenset({"batch_timeout", "executor_lost"})
# The batch may still be running, so that another one must not start in this process.
_STILL_RUNS = "batch_hangs"
_POISON_AFTER = 3
# Numbers and ids of stages, tasks and versions differ between two failures of one cause.
_NUMBER = re.compile(r"\b[0-9a-f]{8,}\b|\d+")
_MOST_NAMED = 3


@dataclass
class Restarts:
    """The failures of one query since its last finished batch.

    Attributes:
        chance: gives numbers from 0 to 1, for delays that differ between queries.
        failures: how many there were.
    """

    policy: Restart
    chance: Callable[[], float] = random.random
    failures: int = 0
    _last: tuple[int, str, str] | None = None
    _same: int = field(default=0)

    def has_written(self) -> None:
        """Notes a finished batch: what failed before it is over."""
        self.failures, self._last, self._same = 0, None, 0

    def delay(
        self, table: str, error: MedallionError, batch: int | None, takes: Sequence[str]
    ) -> float:
        """Seconds to wait until the query starts again.

        Args:
            batch: the batch that failed; None if it was none.
            takes: what the batch reads, such as paths of files.

        Raises:
            MedallionError: it does not start again. It is the error that is given; or, if a batch
                failed three times in the same way and may be the cause itself, one that says so.
        """
        may_pass = isinstance(error, TransientError) and not isinstance(error, LockHeld)
        if not may_pass or error.code == _STILL_RUNS:
            raise error
        self.failures += 1
        if batch is not None and self._is_poison(error, batch, takes):
            raise _poison(table, error, batch, takes) from error
        if self.failures > self.policy.max_attempts:
            raise error
        first, longest = (
            wait.total_seconds() for wait in (self.policy.first_delay, self.policy.max_delay)
        )
        # Beyond 30 doublings every wait is the longest.
        wait = min(longest, first * 2.0 ** min(self.failures - 1, 30))
        return wait * (0.5 + self.chance() / 2)

    def _is_poison(self, error: MedallionError, batch: int, takes: Sequence[str]) -> bool:
        """Whether the batch failed three times in the same way, and may be the cause.

        A full disk or a cluster that is down says nothing about the batch, however often it fails;
        but an error about a file of the batch does.
        """
        failure = batch, error.code, _NUMBER.sub("#", error.what)
        self._same = self._same + 1 if failure == self._last else 1
        self._last = failure
        may_be = error.code in _MAY_BE_THE_BATCH or any(name in error.what for name in takes)
        return may_be and self._same >= _POISON_AFTER


def _poison(table: str, error: MedallionError, batch: int, takes: Sequence[str]) -> DataError:
    named = [name for name in takes if name in error.what] or list(takes)
    more = f" and {len(named) - _MOST_NAMED:,} more" if len(named) > _MOST_NAMED else ""
    read = f"\n  it reads: {', '.join(named[:_MOST_NAMED])}{more}" if named else ""
    return DataError(
        f"{table}: batch {batch} has failed {_POISON_AFTER} times in the same way: "
        f"{error.what}{read}",
        code="poison_batch",
        untouched="its table is as the last batch left it, and no input was left out",
        next_step=_isolating(table, named),
    )


def _isolating(table: str, named: Sequence[str]) -> str:
    """How to go on without what a batch cannot read."""
    if table.startswith("bronze.") and named and named[0].startswith("/"):
        return (
            f"move {named[0]} out of its folder and start again: the batch goes on without it, and "
            "a file that comes back is read then; `medallion files --path …` shows its state"
        )
    return (
        "see the whole error with `--log-level error`; rows that a rule can name go to quarantine "
        "with `expect` (docs/expectations.md); a batch that needs longer: `trigger.batch_timeout`"
    )
