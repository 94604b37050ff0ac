"""The interface of a job: a `Stream`, which writes its own batches.

What all jobs have in common is in `medallion_jobs.engine.supervisor`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from medallion_jobs.checkpoint import Claim
from medallion_jobs.lake.tables import Txn
from medallion_jobs.observe.set_aside import SetAside
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Batch:
    """A micro-batch to write.

    Attributes:
        generation: the checkpoint generation; part of `txn`'s application id.
        replayed: the table already has this batch: an earlier run was interrupted between
            the table's commit and Spark's commit of the batch.
    """

    txn: Txn
    generation: int
    replayed: bool

    @property
    def number(self) -> int:
        return self.txn.batch


@dataclass(frozen=True)
class Start:
    """A start of a query.

    Attributes:
        rebuilds_table: the query was reset and this generation never ran, so the table is
            rebuilt from the start of its source.
    """

    generation: int
    rebuilds_table: bool


@dataclass(frozen=True)
class Waiting:
    """Files that were discovered and are not read yet.

    Attributes:
        oldest: seconds since the last change of the oldest file; None if there are no files.
    """

    files: int
    bytes: int
    oldest: float | None


@dataclass(frozen=True)
class Written:
    """The result of a micro-batch.

    Attributes:
        rows_in: rows or records that were read; None if they are counted from the source's log.
        files, bytes: landing files that were read, and their size in bytes.
        rescued: rows with rescued data.
        quarantined: rows that were moved to quarantine.
        held: rows that are held until a dimension has their key.
        filtered: rows that do not match the table's `where`.
        dropped: rows that a rule or an inner lookup dropped.
        repeated: duplicate rows, and rows older than the one in the table.
        listing_seconds: duration of the search for new files; None if there was none.
        waiting: files that are not read yet; None for a query that reads a table.
        remarks: notes for the user, such as rows without a match.
        set_aside: which rows are missing and why, if most are not in the table; else None.
    """

    rows_out: int
    rows_in: int | None = None
    files: int = 0
    bytes: int = 0
    rescued: int = 0
    quarantined: int = 0
    filtered: int = 0
    dropped: int = 0
    held: int = 0
    repeated: int = 0
    listing_seconds: float | None = None
    waiting: Waiting | None = None
    remarks: tuple[str, ...] = ()
    set_aside: SetAside | None = None

    @classmethod
    def by_earlier_run(cls, rows: int) -> Written:
        """The result of a batch that an earlier run wrote before it was interrupted."""
        return cls(rows, remarks=("written by the run before, which was cut off",))


class Stream(Protocol):
    """The query of a job, as `run` uses it."""

    @property
    def claim(self) -> Claim: ...

    @property
    def output_mode(self) -> str: ...

    def preflight(self, made: Collection[Location]) -> None:
        """Raises if something that the query needs is missing. Runs without a JVM.

        Args:
            made: the tables that this run creates, which may be missing now.
        """

    def prepare(self, spark: SparkSession, start: Start) -> None:
        """Creates the tables that the query writes, or updates them to their declarations."""

    def poll(self) -> Sequence[str]:
        """Looks for new input; called before a run and at each interval of a continuous one.

        Returns:
            Notes for the user.
        """

    def read(self, spark: SparkSession) -> DataFrame:
        """The streaming DataFrame whose micro-batches are passed to `write`."""

    def write(self, df: DataFrame, batch: Batch) -> Written:
        """Writes one micro-batch in a commit with the transaction `batch.txn`."""
