"""What one run of the generator is asked for, checked as a whole."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from math import inf
from random import Random

from medallion_jobs.errors import UsageError

# A file is made in memory, at about half a kilobyte a row.
MAX_ROWS_A_FILE = 1_000_000
# Names are made at about 7,000 a second, and a dimension is small.
MAX_CUSTOMERS = 1_000_000
# Late and future timestamps must still have four-digit years.
_YEARS = range(1972, 9000)
_LONGEST_RUN = 366 * 24 * 3600


def draw_seed() -> int:
    """A seed for those who gave none."""
    return secrets.randbits(32)


@dataclass(frozen=True, kw_only=True)
class FileOrder:
    """What is wanted of one file.

    Args:
        number: which file of the run this is, from 1.
        lines: how many lines it holds.
        now: the moment the file is written, UTC; its events lie in the hour before.
        customers: how many known customers or users there are.
        dirty: the share of spoiled lines, 0 to 1.
        new_column: whether each line carries the feed's new column.
    """

    number: int
    lines: int
    now: datetime
    customers: int
    dirty: float = 0.0
    new_column: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run of the generator. Equal plans make equal files.

    Args:
        seed: the start of all randomness.
        now: to the second, UTC; clean events lie in the hour before it.
        files: at most this many files; None when only the duration bounds the run.
        rows: lines a file.
        customers: how many known customers or users there are.
        dirty: the share of spoiled lines, 0 to 1.
        new_column_from: the first file, counted from 1, whose lines carry the new column.
        rate: lines a second; None for as fast as it goes.
        duration: seconds after which a run with a rate ends.

    Raises:
        UsageError: a value out of range, or two that do not go together.
    """

    seed: int
    now: datetime
    files: int | None = 10
    rows: int = 1000
    customers: int = 15
    dirty: float = 0.0
    new_column_from: int | None = None
    rate: float | None = None
    duration: float | None = None

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise UsageError("now must say its time zone", untouched="nothing was written")
        whole_seconds = self.now.astimezone(timezone.utc).replace(microsecond=0)
        object.__setattr__(self, "now", whole_seconds)
        for wrong, what in (
            (self.files is not None and self.files < 0, f"--files {self.files} is below 0"),
            (
                not 1 <= self.rows <= MAX_ROWS_A_FILE,
                f"--rows {self.rows} is not between 1 and {MAX_ROWS_A_FILE:,}; for more, "
                "ask for more files",
            ),
            (
                not 1 <= self.customers <= MAX_CUSTOMERS,
                f"--customers {self.customers} is not between 1 and {MAX_CUSTOMERS:,}",
            ),
            (not 0 <= self.dirty <= 1, f"--dirty {self.dirty} is not between 0 and 1"),
            (
                self.new_column_from is not None and self.new_column_from < 1,
                f"--new-column-from {self.new_column_from} is below 1, the first file",
            ),
            (not _above_zero(self.rate), f"--rate {self.rate} is not above 0"),
            (not _above_zero(self.duration), f"--duration {self.duration} is not above 0"),
            (
                self.duration is not None and self.rate is None,
                "--duration bounds a run with --rate, and there is no --rate",
            ),
            (self.files is None and self.duration is None, "neither --files nor --duration"),
            (
                self.now.year not in _YEARS,
                f"--now {self.now.isoformat()} is not between the years "
                f"{_YEARS.start} and {_YEARS.stop - 1}",
            ),
        ):
            if wrong:
                raise UsageError(
                    what, untouched="nothing was written", next_step="medallion generate --help"
                )
        if self.file_count * self.interval > _LONGEST_RUN:
            raise UsageError(
                f"--rate {self.rate:g} takes {self.interval:.0f} s for each file of {self.rows} "
                "rows, and over a year for all of them",
                untouched="nothing was written",
                next_step="medallion generate with fewer --rows, or a higher --rate",
            )
        if self.files != 0 and self.file_count == 0:
            raise UsageError(
                f"--rate {self.rate:g} for {self.duration:g} s does not fill one file of "
                f"{self.rows} rows",
                untouched="nothing was written",
                next_step="medallion generate with fewer --rows, or a longer --duration",
            )

    @property
    def interval(self) -> float:
        """Seconds from one file to the next; 0 without a rate."""
        return self.rows / self.rate if self.rate else 0.0

    @property
    def file_count(self) -> int:
        """How many files the run makes if nothing holds it up: the tighter of the bounds."""
        bounds = [] if self.files is None else [self.files]
        if self.duration is not None:
            # The small share keeps a last file that is due at the very end.
            bounds.append(int(self.duration / self.interval + 1e-9))
        return min(bounds)

    def order(self, number: int) -> FileOrder:
        """The order for file `number`, from 1.

        With a rate, `now` moves on as the schedule does (not as the clock does, which would
        give other bytes each time).
        """
        return FileOrder(
            number=number,
            lines=self.rows,
            now=self.now + timedelta(seconds=number * self.interval),
            customers=self.customers,
            dirty=self.dirty,
            new_column=self.new_column_from is not None and number >= self.new_column_from,
        )

    def rng(self, feed: str, number: int) -> Random:
        """The random numbers of file `number`, the same on every machine; 0: of all files.

        All that shapes the files is part of the key (how many there are does not), so a name
        drawn from these numbers stands for one content: another `--rows` gives other names,
        never a landed file with other bytes, which a reader that has read it already would not
        look at again.
        """
        key = (
            f"{feed} seed={self.seed} now={self.now.isoformat()} interval={self.interval}"
            f" rows={self.rows} customers={self.customers} dirty={float(self.dirty)}"
            f" new_column_from={self.new_column_from} file={number}"
        )
        return Random(key)  # noqa: S311 - made-up data, not a secret


def _above_zero(value: float | None) -> bool:
    return value is None or 0 < value < inf
