"""The plan of one run of the generator, validated as a whole."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from math import inf
from random import Random

from medallion_jobs.errors import UsageError

# A file is made in memory, with about half a kilobyte per row.
MAX_ROWS_A_FILE = 1_000_000
# About 7,000 names are made per second, and a dimension is small.
MAX_CUSTOMERS = 1_000_000
# Late and future timestamps must still have four-digit years.
_YEARS = range(1972, 9000)
_LONGEST_RUN = 366 * 24 * 3600


def draw_seed() -> int:
    """A random seed, if the user gives none."""
    return secrets.randbits(32)


@dataclass(frozen=True, kw_only=True)
class FileOrder:
    """What one file should contain.

    Args:
        number: the number of the file in the run, from 1.
        lines: the number of its lines.
        now: when the file is written, UTC; its events are in the hour before.
        customers: the number of known customers or users.
        dirty: the share of dirty lines, 0 to 1.
        new_column: whether each line has the feed's new column.
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
        seed: the seed of all random numbers.
        now: to the second, UTC; clean events are in the hour before it.
        files: the most files to make; None if only the duration limits the run.
        rows: lines per file.
        customers: the number of known customers or users.
        dirty: the share of dirty lines, 0 to 1.
        new_column_from: the first file, counted from 1, whose lines have the new column.
        rate: lines per second; None for as fast as possible.
        duration: seconds after which a run with a rate ends.

    Raises:
        UsageError: a value is out of range, or two contradict each other.
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
            raise UsageError(
                "now must have a time zone",
                code="time_zone_missing",
                untouched="nothing was written",
            )
        whole_seconds = self.now.astimezone(timezone.utc).replace(microsecond=0)
        object.__setattr__(self, "now", whole_seconds)
        for wrong, what in (
            (self.files is not None and self.files < 0, f"--files {self.files} is below 0"),
            (
                not 1 <= self.rows <= MAX_ROWS_A_FILE,
                f"--rows {self.rows} is not between 1 and {MAX_ROWS_A_FILE:,}; for more rows, "
                "make more files",
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
                "--duration needs --rate",
            ),
            (self.files is None and self.duration is None, "--files or --duration is missing"),
            (
                self.now.year not in _YEARS,
                f"--now {self.now.isoformat()} is not between the years "
                f"{_YEARS.start} and {_YEARS.stop - 1}",
            ),
        ):
            if wrong:
                raise UsageError(
                    what,
                    code="invalid_generator_option",
                    untouched="nothing was written",
                    next_step="medallion generate --help",
                )
        if self.file_count * self.interval > _LONGEST_RUN:
            raise UsageError(
                f"--rate {self.rate:g} takes {self.interval:.0f} s for each file of {self.rows} "
                "rows, and over a year for all files",
                code="rate_too_low",
                untouched="nothing was written",
                next_step="medallion generate with fewer --rows, or a higher --rate",
            )
        if self.files != 0 and self.file_count == 0:
            raise UsageError(
                f"--rate {self.rate:g} for {self.duration:g} s does not fill one file of "
                f"{self.rows} rows",
                code="duration_too_short",
                untouched="nothing was written",
                next_step="medallion generate with fewer --rows, or a longer --duration",
            )

    @property
    def interval(self) -> float:
        """Seconds from one file to the next; 0 without a rate."""
        return self.rows / self.rate if self.rate else 0.0

    @property
    def file_count(self) -> int:
        """The number of files that the run makes without delays: the lower of its limits."""
        bounds = [] if self.files is None else [self.files]
        if self.duration is not None:
            # The small addition keeps a last file that is due exactly at the end.
            bounds.append(int(self.duration / self.interval + 1e-9))
        return min(bounds)

    def order(self, number: int) -> FileOrder:
        """The order for file `number`, from 1.

        With a rate, `now` follows the schedule, not the clock, so that each run makes the same
        bytes.
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
        """The random numbers of file `number`, the same on every machine; 0: of the whole run.

        The key has everything that shapes a file, but not the number of files. So a name that
        is drawn from these numbers has only one content: another `--rows` gives other names.
        Otherwise a landed file could get other bytes, and a reader that has already read it
        would not read it again.
        """
        key = (
            f"{feed} seed={self.seed} now={self.now.isoformat()} interval={self.interval}"
            f" rows={self.rows} customers={self.customers} dirty={float(self.dirty)}"
            f" new_column_from={self.new_column_from} file={number}"
        )
        return Random(key)  # noqa: S311 - made-up data, not a secret


def _above_zero(value: float | None) -> bool:
    return value is None or 0 < value < inf
