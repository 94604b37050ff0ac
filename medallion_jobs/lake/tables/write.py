"""How jobs make and write Delta tables.

Every write carries two things into the table's log: a transaction (application id and
batch number), by which a batch that was written once is known for ever, and user metadata
that names the query, batch and run behind it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from medallion_jobs.config import Layout, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables import layout as layouts
from medallion_jobs.lake.tables.delta_log import commit_of, snapshot
from medallion_jobs.lake.tables.sql import column, table, text, type_text
from medallion_jobs.storage import Location, remove_all

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


@dataclass(frozen=True)
class Txn:
    """Who writes.

    Attributes:
        app_id: query and generation, such as `silver.sales/v1`.
        batch: the micro-batch; a later one has a larger number.
        run_id: the run of the program, for whoever reads the table's history.
        notes: what else the commit is to tell of itself; values that JSON knows.
    """

    app_id: str
    batch: int
    run_id: str
    notes: Mapping[str, object] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, str]:
        """The options of Spark's Delta writer that put this into the log."""
        said = {**self.notes, "query": self.app_id, "batch": self.batch, "run": self.run_id}
        return {
            "txnAppId": self.app_id,
            "txnVersion": str(self.batch),
            "userMetadata": json.dumps(said),
        }


def append(df: DataFrame, path: Location, txn: Txn) -> bool:
    """Adds rows, once: Delta drops a second write of the same transaction.

    Returns:
        Whether this call wrote them. If not, the rows were not even computed, and whoever
        waits for what was observed of them waits for ever.
    """
    df.write.format("delta").mode("append").options(**txn.options).save(str(path))
    return is_ours(path, txn)


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
        new_schema: the rows bring their own columns and types, and the table gets its layout
            anew; `ensure_layout` is to be called after it.
        layout: the table's, with new columns.

    Returns:
        Whether this call wrote them.
    """
    writer = (
        layouts.anew(df, path, layout or Layout()) if new_schema else layouts.replacing(df, path)
    )
    writer.format("delta").mode("overwrite").options(**txn.options).save(str(path))
    return is_ours(path, txn)


def replace_where(df: DataFrame, path: Location, txn: Txn, condition: str) -> bool:
    """Adds rows and takes away those that fit a condition, in one commit, once.

    The new rows need not fit the condition.

    Returns:
        Whether this call wrote them.
    """
    spark = df.sparkSession
    # Of the session that this batch has for itself.
    spark.conf.set("spark.databricks.delta.replaceWhere.constraintCheck.enabled", False)
    writer = df.write.format("delta").mode("overwrite").options(**txn.options)
    writer.option("replaceWhere", condition).save(str(path))
    return is_ours(path, txn)


def is_ours(path: Location, txn: Txn) -> bool:
    """Whether the run that `txn` names committed it, not an earlier one."""
    commit = commit_of(path, txn.app_id, txn.batch)
    said = json.loads(commit.info.get("userMetadata", "{}")) if commit else {}
    return bool(said.get("run") == txn.run_id)


def rows_written(path: Location, txn: Txn) -> int:
    """Rows that a transaction wrote."""
    commit = commit_of(path, txn.app_id, txn.batch)
    return commit.rows if commit else 0


def ensure(
    spark: SparkSession,
    ref: TableRef,
    path: Location,
    schema: StructType,
    *,
    comment: str,
    properties: Mapping[str, str] | None = None,
    layout: Layout | None = None,
) -> None:
    """Makes the table where there is none, adds columns that it lacks, registers it.

    Raises:
        UsageError: the table that is there has other columns or types than declared.
    """
    create(spark, path, schema, comment=comment, properties=properties, layout=layout)
    widen(spark, ref, path, schema)
    register(spark, ref, path)


def create(
    spark: SparkSession,
    path: Location,
    schema: StructType,
    *,
    comment: str,
    properties: Mapping[str, str] | None = None,
    layout: Layout | None = None,
) -> None:
    """Makes the table where there is none, in its layout but for checks (`ensure_layout`).

    Args:
        comment: what it is, where the layout does not say.

    Raises:
        UsageError: the layout asks for what tables of these columns cannot have.
    """
    from delta.tables import DeltaTable  # noqa: PLC0415 (imports pyspark)

    if snapshot(path) is not None:
        return
    layout = layout or Layout()
    layouts.refuse_impossible(path, schema, layout)
    _remove_unborn_log(path)
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


def _remove_unborn_log(path: Location) -> None:
    """Removes what a creation left that was cut off before its first commit.

    Delta takes a log folder without a single version for a table, does not make it, and then
    does not find it: no run would ever start again.
    """
    log = path / "_delta_log"
    if log.is_dir() and not any(entry.name[0].isdigit() for entry in log.iterdir()):
        remove_all(log)


def begin_anew(
    spark: SparkSession, path: Location, schema: StructType, *, layout: Layout | None = None
) -> None:
    """Empties a table and gives it its declared columns; older versions stay in its history.

    Its partitions become those of the layout; the rest of it is for `ensure_layout`.
    """
    layout = layout or Layout()
    layouts.refuse_impossible(path, schema, layout)
    nothing = spark.createDataFrame([], layouts.commented(schema, layout))
    layouts.anew(nothing, path, layout).format("delta").mode("overwrite").save(str(path))


def widen(spark: SparkSession, ref: TableRef, path: Location, declared: StructType) -> None:
    """Adds the declared columns that the table lacks.

    Raises:
        UsageError: they differ otherwise; the rows that are there could not be read so.
    """
    anew = f'make it anew: `medallion checkpoint reset {ref} --reason "…" --yes`'
    has = check_schema(spark, str(ref), path, declared, mend=anew)
    new = [field for field in declared if field.name not in has]
    if new:
        columns = ", ".join(
            f"{column(f.name)} {type_text(f.dataType.jsonValue(), always_quoted=True)}" for f in new
        )
        spark.sql(f"ALTER TABLE {table(path)} ADD COLUMNS ({columns})")


def check_schema(
    spark: SparkSession, name: str, path: Location, declared: StructType, *, mend: str
) -> Collection[str]:
    """The table's columns, if each is declared as it is.

    Args:
        name: how messages call the table.
        mend: what to do where it is not.

    Raises:
        UsageError: the table has other types, or columns that are not declared.
    """
    has = {field.name: field for field in spark.read.format("delta").load(str(path)).schema}
    wrong = [
        f"{field.name}: the table has {has[field.name].dataType.simpleString()}, "
        f"declared is {field.dataType.simpleString()}"
        for field in declared
        if field.name in has and has[field.name].dataType != field.dataType
    ]
    wanted = {field.name for field in declared}
    wrong += [f"{name}: the table has it, declared is none" for name in has if name not in wanted]
    if wrong:
        raise UsageError(
            f"{name} is declared otherwise than it is:\n  " + "\n  ".join(wrong),
            untouched="nothing was written",
            next_step=mend,
        )
    return has


def set_properties(spark: SparkSession, path: Location, wanted: Mapping[str, str]) -> None:
    """Sets those table properties that are not as wanted."""
    there = snapshot(path)
    has = there.properties if there else {}
    wrong = {key: value for key, value in wanted.items() if has.get(key) != value}
    if wrong:
        pairs = ", ".join(f"{text(key)} = {text(value)}" for key, value in wrong.items())
        spark.sql(f"ALTER TABLE {table(path)} SET TBLPROPERTIES ({pairs})")


def register(spark: SparkSession, ref: TableRef, path: Location) -> None:
    """Registers an existing table in the session's catalog as `layer.name`."""
    # A schema without a place of its own would leave a `spark-warehouse` folder behind.
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {column(ref.layer)} LOCATION {text(str(path.parent))}")
    name, place = f"{column(ref.layer)}.{column(ref.name)}", text(str(path))
    spark.sql(f"CREATE TABLE IF NOT EXISTS {name} USING delta LOCATION {place}")


def require(name: str, path: Location, made: Collection[Location] = ()) -> None:
    """Raises UsageError when there is no table at `path` and none of `made` is to be it."""
    if path not in made and snapshot(path) is None:
        raise UsageError(
            f"there is no table {name} at {path}",
            untouched="nothing was started",
            next_step="run the layer that makes it first, or all: `medallion run`",
        )
