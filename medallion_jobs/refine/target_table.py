"""The silver table itself: create it, add its new columns, or rebuild it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql.types import StructType

from medallion_jobs.config import TableRef
from medallion_jobs.engine.failures import root_cause
from medallion_jobs.errors import UsageError, rebuild_command
from medallion_jobs.lake import tables
from medallion_jobs.lake.hidden_columns import row_type
from medallion_jobs.lake.tables import schema as schemas
from medallion_jobs.refine import lookup
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.quarantine import row_text
from medallion_jobs.refine.write import apply_changes
from medallion_jobs.refine.write.change_log import ChangeLog
from medallion_jobs.refine.write.transactions import Transactions
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


_FOLLOWED = {"delta.enableChangeDataFeed": "true"}


def make(refinery: Refinery, spark: SparkSession, *, is_rebuild: bool) -> None:
    """Creates the table or adds its new columns, and registers it if it is the live one.

    Args:
        is_rebuild: the query was reset and has not run since: the table starts empty.

    Raises:
        UsageError: the config names columns that do not exist, or the existing table has
            columns that the config does not have.
    """
    computed = _computed(refinery, spark)
    schema = refinery.recipe.written(computed)
    path, ref, layout = refinery.path, refinery.ref, refinery.table.layout
    is_followed = ref.name in refinery.config.changes_read
    if is_followed and refinery.table.changes_rows:
        tables.refuse_unmergeable(str(ref), schema.names)
    if is_rebuild and tables.snapshot(path):
        tables.recreate(spark, path, schema, layout=layout)
    about = f"Clean and enriched rows of {refinery.table.from_}"
    # Set before gold reads the table: the change feed has no earlier changes.
    properties = _FOLLOWED if is_followed else {}
    tables.create(spark, path, schema, comment=about, properties=properties, layout=layout)
    tables.set_properties(spark, path, properties)
    if refinery.table.apply_changes:
        changes = refinery.table.apply_changes.spelled_as(computed.columns)
        kind = apply_changes.sequence_type(computed.schema, changes.sequence_by)
        log = ChangeLog(refinery.paths.changes, changes.keys)
        columns = log.schema(refinery.recipe.columns(computed), changes.keys, kind)
        log.ensure(spark, columns, is_rebuild=is_rebuild)
        if changes.transactional:
            waiting = Transactions.beside(log.path, changes.keys)
            waiting.ensure(spark, columns, is_rebuild=is_rebuild)
    if refinery.table.schema_:
        tables.widen(spark, ref, path, schema)
    else:
        _grow(spark, ref, path, schema)
    if refinery.paths.is_live:
        tables.register(spark, ref, path)
    tables.ensure_layout(spark, ref, path, layout)


def shaped_source(refinery: Refinery, spark: SparkSession) -> DataFrame:
    """The shaped source, without rows: for its schema."""
    path = refinery.path_of(refinery.table.from_)
    empty = spark.createDataFrame([], spark.read.format("delta").load(str(path)).schema)
    return refinery.recipe.shaped(empty)


def _computed(refinery: Refinery, spark: SparkSession) -> DataFrame:
    """The computed rows, without rows: for their schema.

    Raises:
        UsageError: a column cannot be computed, rows have a type that cannot be parked, or the
            unknown member does not fit the columns.
    """
    shaped = shaped_source(refinery, spark)
    if lost := row_text.unkeepable(row_type(shaped)):
        raise UsageError(
            f"{refinery.ref}: rows with {', '.join(lost)} cannot be stored in quarantine or hold "
            "without loss",
            code="rows_not_keepable",
            untouched="nothing was written",
            next_step="give the column another type in bronze (`schema_hints`), or drop it in "
            "a `transform`",
        )
    # Only their columns are checked here; each batch checks their rows.
    dimensions = [
        lookup.Dimension.of(
            config, spark.read.format("delta").load(str(refinery.path_of(config.table)))
        )
        for config in refinery.table.lookups
    ]
    computed = refinery.recipe.computed(shaped, dimensions)
    if refinery.table.unknown_member:
        lookup.member(refinery.table, refinery.recipe.written(computed))
    return computed


def _grow(spark: SparkSession, ref: TableRef, path: Location, schema: StructType) -> None:
    """Adds the columns, and the fields inside columns, that the table lacks."""
    has = spark.read.format("delta").load(str(path)).schema
    refuse_gone(ref, has.names, schema.names)
    if _types(has) == _types(schema):
        return
    empty = spark.createDataFrame([], schema).write.format("delta").mode("append")
    try:
        empty.option("mergeSchema", True).save(str(path))
    except AnalysisException as error:
        raise _other_types(ref, str(root_cause(error))) from error


def refuse_gone(ref: TableRef, has: Iterable[str], wanted: Collection[str]) -> None:
    """Raises UsageError if a table has columns that its config does not give. Needs no JVM."""
    if gone := [name for name in has if name not in wanted]:
        raise UsageError(
            f"{ref} has columns that its config no longer selects: {', '.join(gone)}",
            code="columns_left_config",
            untouched="nothing was written",
            next_step=_rebuild(ref),
        )


def refuse_other_types(ref: TableRef, has: StructType, wanted: StructType) -> None:
    """Raises UsageError if rows of a schema cannot be added to a table. Needs no JVM."""
    if found := list(schemas.unmergeable(has, wanted)):
        raise _other_types(ref, "; ".join(found))


def _other_types(ref: TableRef, which: str) -> UsageError:
    return UsageError(
        f"{ref} has other column types than its config gives now: {which}",
        code="column_types_changed",
        untouched="nothing was written",
        next_step=_rebuild(ref),
    )


def _rebuild(ref: TableRef) -> str:
    return f"rebuild it: `{rebuild_command(ref)} --yes`"


def _types(schema: StructType) -> dict[str, str]:
    return {field.name: field.dataType.simpleString() for field in schema}
