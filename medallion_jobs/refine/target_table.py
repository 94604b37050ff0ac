"""The silver table itself: made, grown to its columns, or begun anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql.types import StructType

from medallion_jobs.config import TableRef
from medallion_jobs.engine.failures import root_cause
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import tables
from medallion_jobs.lake.hidden_columns import ROW
from medallion_jobs.refine import lookup
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.quarantine import row_text
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


_FOLLOWED = {"delta.enableChangeDataFeed": "true"}


def make(refinery: Refinery, spark: SparkSession, *, is_anew: bool) -> None:
    """Makes the table, or brings it up to its columns, and registers it.

    Raises:
        UsageError: the config asks for columns that there are none of, or the table that is
            there has others.
    """
    schema = written_schema(refinery, spark)
    path, ref, layout = refinery.path, refinery.ref, refinery.table.layout
    is_followed = ref.name in refinery.config.changes_read
    if is_followed and refinery.table.changes_rows:
        tables.refuse_unmergeable(str(ref), schema.names)
    if is_anew and tables.snapshot(path):
        tables.recreate(spark, path, schema, layout=layout)
    about = f"Clean and enriched rows of {refinery.table.from_}"
    # There before gold reads it: what was changed earlier, no feed tells.
    properties = _FOLLOWED if is_followed else {}
    tables.create(spark, path, schema, comment=about, properties=properties, layout=layout)
    tables.set_properties(spark, path, properties)
    if refinery.table.schema_:
        tables.ensure(spark, ref, path, schema, comment=about)
    else:
        _grow(spark, ref, path, schema)
        tables.register(spark, ref, path)
    tables.ensure_layout(spark, ref, path, layout)


def shaped_source(refinery: Refinery, spark: SparkSession) -> DataFrame:
    """The source without a row, shaped."""
    path = refinery.config.table_path(refinery.table.from_)
    nothing = spark.createDataFrame([], spark.read.format("delta").load(str(path)).schema)
    return refinery.recipe.shaped(nothing)


def written_schema(refinery: Refinery, spark: SparkSession) -> StructType:
    """All columns that the table is to have, from those that its source and dimensions have.

    Raises:
        UsageError: a column that cannot be computed, a row that cannot be kept, or an unknown
            member that the columns do not fit.
    """
    shaped = shaped_source(refinery, spark)
    kept = shaped.schema[ROW].dataType
    assert isinstance(kept, StructType)  # noqa: S101 (a recipe made it)
    if lost := row_text.unkeepable(kept):
        raise UsageError(
            f"{refinery.ref}: rows with {', '.join(lost)} cannot be kept as they are, should one "
            "have to be put aside",
            untouched="nothing was written",
            next_step="give the column another type in bronze (`schema_hints`), or leave it out "
            "by a `transform`",
        )
    # By their columns alone: what is wrong with their rows is for a batch to find.
    dimensions = [
        lookup.Dimension.of(
            one, spark.read.format("delta").load(str(refinery.config.table_path(one.table)))
        )
        for one in refinery.table.lookups
    ]
    schema = refinery.recipe.written(refinery.recipe.computed(shaped, dimensions))
    if refinery.table.unknown_member:
        lookup.member(refinery.table, schema)
    return schema


def _grow(spark: SparkSession, ref: TableRef, path: Location, schema: StructType) -> None:
    """Adds columns, and fields inside of columns, that the table lacks."""
    has = spark.read.format("delta").load(str(path)).schema
    gone = [name for name in has.names if name not in schema.names]
    anew = f'make it anew: `medallion checkpoint reset {ref} --reason "…" --yes`'
    if gone:
        raise UsageError(
            f"{ref} has columns that its config no longer selects: {', '.join(gone)}",
            untouched="nothing was written",
            next_step=anew,
        )
    if _types(has) == _types(schema):
        return
    nothing = spark.createDataFrame([], schema).write.format("delta").mode("append")
    try:
        nothing.option("mergeSchema", True).save(str(path))
    except AnalysisException as error:
        raise UsageError(
            f"{ref} has other types than its config gives now: {root_cause(error)}",
            untouched="nothing was written",
            next_step=anew,
        ) from error


def _types(schema: StructType) -> dict[str, str]:
    return {field.name: field.dataType.simpleString() for field in schema}
