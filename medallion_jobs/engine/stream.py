"""The interface of a job: a `Stream`, which writes its own batches.

What all jobs have in common is in `medallion_jobs.engine.supervisor`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from medallion_jobs.checkpoint import Claim
from medallion_jobs.lake.tables import Txn
from medallion_jobs.observe.batch import Written
from medallion_jobs.storage import Location

__all__ = ["Batch", "Sink", "Start", "Stream", "Written"]

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Batch:
    """A micro-batch to write.

    Attributes:
        generation: the checkpoint generation; part of `txn`'s application id.
        already_written: the table already has this batch: an earlier run was interrupted between
            the table's commit and Spark's commit of the batch.
        is_empty: the source has no row for it, as after an OPTIMIZE. The table still has to get its
            transaction.
    """

    txn: Txn
    generation: int
    already_written: bool
    is_empty: bool = False

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


class Sink(Protocol):
    """Where a table is loaded to after its batches, such as a database."""

    def check(self, spark: SparkSession, *, rebuilt: bool) -> None:
        """Raises if the sink cannot be reached or cannot take the table.

        Args:
            rebuilt: the next batch rebuilds the table, so its columns now do not matter.
        """

    def catch_up(self, spark: SparkSession) -> str | None:
        """Loads what the sink does not have yet.

        Returns:
            A note for the user; None if there was nothing to load.

        Raises:
            TransientError: the sink is down; the table goes on, and the sink catches up later.
        """


class Stream(Protocol):
    """The query of a job, as `run` uses it: what it claims, reads and writes."""

    @property
    def claim(self) -> Claim: ...

    @property
    def output_mode(self) -> str: ...

    @property
    def sinks(self) -> Sequence[Sink]:
        """Loaded by the engine, after each batch, and at a start unless a rebuild follows."""

    def preflight(self, made: Collection[Location]) -> None:
        """Raises if something that the query needs is missing. Runs without a JVM.

        Args:
            made: the tables that this run creates, which may be missing now.
        """

    def prepare(self, spark: SparkSession, start: Start) -> None:
        """Creates the tables that the query writes, or updates them to their declarations."""

    def discover(self) -> Sequence[str]:
        """Looks for new input; called before a run and at each interval of a continuous one.

        Returns:
            Notes for the user.
        """

    def read(self, spark: SparkSession) -> DataFrame:
        """The streaming DataFrame whose micro-batches are passed to `write`."""

    def write(self, df: DataFrame, batch: Batch) -> Written:
        """Writes one micro-batch in a commit with the transaction `batch.txn`."""
