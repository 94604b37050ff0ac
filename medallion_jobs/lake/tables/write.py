"""Creates and writes Delta tables.

Every write adds two things to the table's log: a transaction (application id and batch number),
so that no batch is written twice, and user metadata with the query, the batch and the run.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from medallion_jobs.config import Layout, TableRef
from medallion_jobs.errors import UsageError, rebuild_command
from medallion_jobs.lake.tables import layout as layouts
from medallion_jobs.lake.tables.delta_log import commit_of, snapshot
from medallion_jobs.lake.tables.sql import column, table, text, type_text
from medallion_jobs.storage import Location, remove_all

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


@dataclass(frozen=True)
class Txn:
    """The transaction of a write.

    Attributes:
        app_id: query and generation, such as `silver.sales/v1`.
        batch: the number of the micro-batch; later batches have larger numbers.
        run_id: the run of the program, for readers of the table's history.
        notes: more user metadata of the commit; values must be JSON.
    """

    app_id: str
    batch: int
    run_id: str
    notes: Mapping[str, object] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, str]:
        """The options of Spark's Delta writer that write this to the log."""
        metadata = {**self.notes, "query": self.app_id, "batch": self.batch, "run": self.run_id}
        return {
            "txnAppId": self.app_id,
            "txnVersion": str(self.batch),
            "userMetadata": json.dumps(metadata),
        }


def append(df: DataFrame, path: Location, txn: Txn) -> bool:
    """Adds rows, once: Delta skips a second write of the same transaction.

    Returns:
        Whether this call wrote them. If not, the rows were not computed, and waiting for an
        `Observation` of them never ends.
    """
    df.write.format("delta").mode("append").options(**txn.options).save(str(path))
    return is_ours(path, txn)


def commit_only(spark: SparkSession, path: Location, txn: Txn) -> bool:
    """Commits a transaction without rows: it records that a batch is done.

    Returns:
        Whether this call committed it.
    """
    columns = spark.read.format("delta").load(str(path)).schema
    return append(spark.createDataFrame([], columns), path, txn)


def replace(
    df: DataFrame,
    path: Location,
    txn: Txn,
    *,
    new_schema: bool = False,
    layout: Layout | None = None,
) -> bool:
    """Replaces all rows in one commit, once; older versions stay in the table's history.

    Args:
        new_schema: whether the table gets the columns, types and partitions of these rows; the
            caller must then call `ensure_layout`.
        layout: the table's layout, needed with `new_schema`.

    Returns:
        Whether this call wrote them.
    """
    writer = (
        layouts.overwrite_with_schema(df, path, layout or Layout())
        if new_schema
        else layouts.overwrite(df, path)
    )
    writer.format("delta").mode("overwrite").options(**txn.options).save(str(path))
    return is_ours(path, txn)


def replace_where(df: DataFrame, path: Location, txn: Txn, condition: str) -> bool:
    """Adds rows and deletes those that match a condition, in one commit, once.

    The new rows need not match the condition.

    Returns:
        Whether this call wrote them.
    """
    spark = df.sparkSession
    # Only in the session of this batch.
    spark.conf.set("spark.databricks.delta.replaceWhere.constraintCheck.enabled", False)
    writer = df.write.format("delta").mode("overwrite").options(**txn.options)
    writer.option("replaceWhere", condition).save(str(path))
    return is_ours(path, txn)


def is_ours(path: Location, txn: Txn) -> bool:
    """Whether this run, not an earlier one, committed the transaction."""
    commit = commit_of(path, txn.app_id, txn.batch)
    metadata = json.loads(commit.info.get("userMetadata", "{}")) if commit else {}
    return bool(metadata.get("run") == txn.run_id)


def rows_written(path: Location, txn: Txn) -> int:
    """Rows that a transaction wrote."""
    commit = commit_of(path, txn.app_id, txn.batch)
    return commit.rows if commit else 0


def create(
    spark: SparkSession,
    path: Location,
    schema: StructType,
    *,
    comment: str,
    properties: Mapping[str, str] | None = None,
    layout: Layout | None = None,
) -> None:
    """Creates the table with its layout if it does not exist.

    Args:
        comment: the table's comment, if the layout has none.
        properties: table properties besides those of the layout.

    Raises:
        UsageError: the layout does not work for these columns.
    """
    from delta.tables import DeltaTable  # noqa: PLC0415 (imports pyspark)

    if snapshot(path) is not None:
        return
    layout = layout or Layout()
    layouts.refuse_impossible(path, schema, layout)
    _remove_empty_log(path)
    builder = DeltaTable.createIfNotExists(spark).location(str(path))
    builder = builder.addColumns(layouts.commented(schema, layout))
    builder = builder.comment(layout.comment or comment)
    if layout.partition_by:
        builder = builder.partitionedBy(*layout.partition_by)
    if layout.cluster_by:
        builder = builder.clusterBy(*layout.cluster_by)
    for key, value in {**layouts.properties(layout), **(properties or {})}.items():
        builder = builder.property(key, value)
    builder.execute()


def _remove_empty_log(path: Location) -> None:
    """Removes the log folder of a creation that was interrupted before its first commit.

    Delta takes a log folder without versions for an existing table, so it does not create the
    table, and then does not find it: no run would ever start again.
    """
    log = path / "_delta_log"
    if log.is_dir() and not any(entry.name[0].isdigit() for entry in log.iterdir()):
        remove_all(log)


def recreate(
    spark: SparkSession, path: Location, schema: StructType, *, layout: Layout | None = None
) -> None:
    """Deletes all rows of a table and sets its declared columns and partitions.

    Older versions stay in its history. The caller must call `ensure_layout` for the rest of the
    layout.
    """
    layout = layout or Layout()
    layouts.refuse_impossible(path, schema, layout)
    empty = spark.createDataFrame([], layouts.commented(schema, layout))
    writer = layouts.overwrite_with_schema(empty, path, layout)
    writer.format("delta").mode("overwrite").save(str(path))


def widen(spark: SparkSession, ref: TableRef, path: Location, declared: StructType) -> None:
    """Adds the declared columns that the table lacks.

    Raises:
        UsageError: the existing columns or their types differ from the declared ones.
    """
    rebuild = f"rebuild it: `{rebuild_command(ref)} --yes`"
    has = check_schema(spark, str(ref), path, declared, fix=rebuild)
    new = [field for field in declared if field.name not in has]
    if new:
        columns = ", ".join(
            f"{column(f.name)} {type_text(f.dataType.jsonValue(), always_quoted=True)}" for f in new
        )
        spark.sql(f"ALTER TABLE {table(path)} ADD COLUMNS ({columns})")


def check_schema(
    spark: SparkSession, name: str, path: Location, declared: StructType, *, fix: str
) -> Collection[str]:
    """The names of the table's columns, if each is declared with its type.

    Args:
        name: the table's name in messages.
        fix: the next step of the error, if the columns differ.

    Raises:
        UsageError: the table has other types, or columns that are not declared.
    """
    schema = spark.read.format("delta").load(str(path)).schema
    refuse_other_columns(name, schema, declared, fix=fix)
    return schema.names


def refuse_other_columns(name: str, has: StructType, declared: StructType, *, fix: str) -> None:
    """Raises UsageError if a table has other types, or columns that are not declared.

    Args:
        name: the table's name in messages.
        fix: the next step of the error.
    """
    kinds, wanted = {field.name: field.dataType for field in has}, set(declared.names)
    wrong = [
        f"{field.name}: it is {kinds[field.name].simpleString()} in the table, "
        f"but declared as {field.dataType.simpleString()}"
        for field in declared
        if field.name in kinds and kinds[field.name] != field.dataType
    ]
    wrong += [
        f"{name}: it is in the table, but not declared" for name in kinds if name not in wanted
    ]
    if wrong:
        raise UsageError(
            f"the columns of {name} are not the declared ones:\n  " + "\n  ".join(wrong),
            code="columns_differ",
            untouched="nothing was written",
            next_step=fix,
        )


def set_properties(spark: SparkSession, path: Location, wanted: Mapping[str, str]) -> None:
    """Sets the table properties that differ from the wanted ones."""
    current = snapshot(path)
    has = current.properties if current else {}
    wrong = {key: value for key, value in wanted.items() if has.get(key) != value}
    if wrong:
        pairs = ", ".join(f"{text(key)} = {text(value)}" for key, value in wrong.items())
        spark.sql(f"ALTER TABLE {table(path)} SET TBLPROPERTIES ({pairs})")


def register(spark: SparkSession, ref: TableRef, path: Location) -> None:
    """Registers an existing table in the session's catalog as `layer.name`."""
    # A schema without a location would leave a `spark-warehouse` folder behind.
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {column(ref.layer)} LOCATION {text(str(path.parent))}")
    name, folder = f"{column(ref.layer)}.{column(ref.name)}", text(str(path))
    spark.sql(f"CREATE TABLE IF NOT EXISTS {name} USING delta LOCATION {folder}")


def require(name: str, path: Location, made: Collection[Location] = ()) -> None:
    """Raises UsageError if there is no table at `path` and this run will not create it.

    Args:
        made: the tables that this run creates.
    """
    if path not in made and snapshot(path) is None:
        raise UsageError(
            f"there is no table {name} at {path}",
            code="table_missing",
            untouched="nothing was started",
            next_step="first run the layer that creates it, or all layers: `medallion run`",
        )
