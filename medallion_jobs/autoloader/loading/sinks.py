"""Where a batch's rows go: into a Delta table, or to a user's function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pyspark.sql import functions as F

from medallion_jobs.autoloader.file_entry import FileKey
from medallion_jobs.autoloader.ledger.tables import Loaded
from medallion_jobs.autoloader.loading import account
from medallion_jobs.autoloader.loading.account import Counts
from medallion_jobs.autoloader.readers.file_schemas import SPARK_FAILURES
from medallion_jobs.autoloader.schemas.evolution import OTHER_LAKE, alterations
from medallion_jobs.config import Layout, TableRef
from medallion_jobs.errors import DataError, MedallionError, UsageError
from medallion_jobs.lake import tables
from medallion_jobs.lake.columns import FILE_VERSION, INPUT_FILE, RESCUED
from medallion_jobs.lake.tables import Txn
from medallion_jobs.lake.tables.sql import table
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


class Sink(Protocol):
    """Takes the good rows of batches."""

    name: str

    @property
    def has_versions(self) -> bool:
        """Whether its rows have the version of their file."""

    def columns(self) -> Mapping[str, Any] | None:
        """The columns of its table, in Spark's JSON form; None if there is no table."""

    def check(self, spark: SparkSession, schema: StructType) -> None:
        """Checks that the table can take a schema. Writes nothing.

        Raises:
            UsageError: the table has other columns, or columns of other types.
        """

    def prepare(self, spark: SparkSession, schema: StructType) -> None:
        """Prepares for rows of this schema; called again when columns are added."""

    def write(self, rows: DataFrame, txn: Txn, instead_of: str | None) -> bool:
        """Writes a batch's rows, once; returns whether this call wrote them.

        Args:
            instead_of: SQL condition on the rows that these replace, in the same commit.
        """

    def written(self, txn: Txn) -> Counts:
        """The counts, by file, of a batch's rows, and of those with rescued data."""

    def counts_of_all(self, spark: SparkSession, committed: Mapping[FileKey, Loaded]) -> Counts:
        """The counts, by file, of the rows of all batches.

        Args:
            committed: files whose rows were written, by the ledger.
        """


def refuse_unfit(name: str, current: StructType, schema: StructType, *, widens: bool) -> None:
    """Raises UsageError if a table cannot have the columns of a schema. Needs no JVM.

    Args:
        name: the table's name in messages.
        current: the columns that it has.
        widens: whether their types may become wider.
    """
    alterations(current, schema, name, widens=widens)
    if gone := [column for column in current.names if column not in schema.names]:
        raise UsageError(
            f"{name} has columns that its config no longer has: {', '.join(gone)}",
            code="columns_left_config",
            untouched="the table and its files; nothing was written",
            next_step=OTHER_LAKE,
        )


@dataclass
class DeltaSink:
    """A bronze table.

    Attributes:
        name: its name in messages.
        in_catalog: whether it is registered in the session's catalog.
        keeps_versions: whether the source's policy asks for versions of files.
        widens: whether types may become wider.
        layout: its layout on disk.
    """

    name: str
    path: Location
    ref: TableRef
    comment: str = ""
    keeps_versions: bool = False
    replaces: bool = False
    widens: bool = False
    layout: Layout = field(default_factory=Layout)
    in_catalog: bool = True

    @property
    def has_versions(self) -> bool:
        # A table that got the column under another policy keeps it.
        return self.keeps_versions or account.has_versions(self.path)

    def columns(self) -> Mapping[str, Any] | None:
        table = tables.snapshot(self.path)
        return table.schema if table else None

    def check(self, spark: SparkSession, schema: StructType) -> None:
        if tables.snapshot(self.path) is None:
            return
        current = spark.read.format("delta").load(str(self.path)).schema
        refuse_unfit(self.name, current, schema, widens=self.widens)

    def prepare(self, spark: SparkSession, schema: StructType) -> None:
        properties = {"delta.appendOnly": "false" if self.replaces else "true"}
        if self.widens:
            properties["delta.enableTypeWidening"] = "true"
        tables.create(
            spark,
            self.path,
            schema,
            comment=self.comment,
            properties=properties,
            layout=self.layout,
        )
        tables.set_properties(spark, self.path, properties)
        current = spark.read.format("delta").load(str(self.path)).schema
        for change in alterations(current, schema, self.name, widens=self.widens):
            spark.sql(f"ALTER TABLE {table(self.path)} {change}")
        tables.check_schema(spark, self.name, self.path, schema, fix=OTHER_LAKE)
        tables.ensure_layout(spark, self.ref, self.path, self.layout)
        if self.in_catalog:
            tables.register(spark, self.ref, self.path)

    def write(self, rows: DataFrame, txn: Txn, instead_of: str | None) -> bool:
        if instead_of is None:
            return tables.append(rows, self.path, txn)
        return tables.replace_where(rows, self.path, txn, instead_of)

    def written(self, txn: Txn) -> Counts:
        return account.loaded_by(self.path, txn, INPUT_FILE, f"count({RESCUED})")

    def counts_of_all(self, spark: SparkSession, committed: Mapping[FileKey, Loaded]) -> Counts:  # noqa: ARG002
        return account.counts_of_all(spark, self.path, INPUT_FILE, f"count({RESCUED})")


EachBatch = Callable[["DataFrame", int], object]


@dataclass
class FunctionSink:
    """A function that is called with each batch's rows and number.

    After a crash it may be called again with the same number and files. It has to handle that,
    for instance by using the number as a transaction's version.
    """

    name: str
    call: EachBatch
    has_versions: bool = False
    _counts: dict[int, Counts] = field(default_factory=dict)

    def columns(self) -> Mapping[str, Any] | None:
        return None

    def check(self, spark: SparkSession, schema: StructType) -> None:
        """Nothing to check: there is no table."""

    def prepare(self, spark: SparkSession, schema: StructType) -> None:
        """Nothing to prepare: the rows bring their schema."""

    def write(self, rows: DataFrame, txn: Txn, instead_of: str | None) -> bool:  # noqa: ARG002
        rows.persist()
        try:
            self._hand_over(rows, txn.batch)
            version = F.col(FILE_VERSION) if self.has_versions else F.lit(1)
            counted = rows.groupBy(INPUT_FILE, version).agg(F.count(F.lit(1)), F.count(RESCUED))
            self._counts = {
                txn.batch: {(file, v): (n, rescued) for file, v, n, rescued in counted.collect()}
            }
        finally:
            rows.unpersist()
        return True

    def _hand_over(self, rows: DataFrame, number: int) -> None:
        try:
            self.call(rows, number)
        except (*SPARK_FAILURES, MedallionError, OSError):
            raise
        except BaseException as failure:
            # A BaseException such as SystemExit does not reach Spark, which would wait for ever.
            raise DataError(
                f"{self.name}, batch {number}: each_batch raised "
                f"{type(failure).__name__}: {failure}",
                code="each_batch_failed",
                untouched="the batch is not recorded as done; the function gets it again",
                next_step="fix the function, then call autoload again",
            ) from failure

    def written(self, txn: Txn) -> Counts:
        return self._counts.get(txn.batch, {})

    def counts_of_all(self, spark: SparkSession, committed: Mapping[FileKey, Loaded]) -> Counts:  # noqa: ARG002
        # What the function did with the rows is unknown: all that it got counts as loaded.
        return {key: (file.rows, file.rescued) for key, file in committed.items() if file.rows}
