"""What a job hands over to be run: a `Stream`, whose batches it writes itself.

Everything that is the same for all jobs is in `medallion_jobs.engine.supervisor`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from medallion_jobs.checkpoint import Claim
from medallion_jobs.lake.tables import Txn
from medallion_jobs.observe.batch import Written
from medallion_jobs.storage import Location

__all__ = ["Batch", "Start", "Stream", "Written"]

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Batch:
    """One micro-batch, as the job that writes it sees it.

    Attributes:
        generation: the checkpoint generation; part of `txn`'s application id.
        replayed: the table holds this batch already; the run before was cut off between
            the table's commit and Spark's own note of it.
    """

    txn: Txn
    generation: int
    replayed: bool

    @property
    def number(self) -> int:
        return self.txn.batch


@dataclass(frozen=True)
class Start:
    """The start of a query, as the job that prepares it sees it.

    Attributes:
        is_anew: the query was reset and this generation never ran: its table is to be made
            again from the beginning of its source.
    """

    generation: int
    is_anew: bool


class Stream(Protocol):
    """A job's query: what `run` needs of it."""

    @property
    def claim(self) -> Claim: ...

    @property
    def output_mode(self) -> str: ...

    def preflight(self, made: Collection[Location]) -> None:
        """Raises if something that the query needs is missing. Runs without a JVM.

        Args:
            made: the tables that this run makes, so that they may be missing now.
        """

    def prepare(self, spark: SparkSession, start: Start) -> None:
        """Makes the tables that the query writes, or brings them up to what is declared."""

    def poll(self) -> Sequence[str]:
        """Looks for new input; called before a run and at each interval of a continuous one.

        Returns:
            What a person should know of it.
        """

    def read(self, spark: SparkSession) -> DataFrame:
        """The streaming frame whose micro-batches `write` gets."""

    def write(self, df: DataFrame, batch: Batch) -> Written:
        """Writes one micro-batch, in a commit that carries `batch.txn`."""
