"""The stored form of parked rows: from judged rows, and back to rows of the source."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, NumericType, StructType

from medallion_jobs.config import SilverTable
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.columns import INPUT_FILE
from medallion_jobs.lake.hidden_columns import (
    PARKED,
    ROW,
    SINCE,
    UNDECIDED,
    UNREADABLE,
    hidden,
    is_hidden,
    row_type,
)
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine import lookup, outcome
from medallion_jobs.refine.quarantine import row_text

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# The file beside held rows with the record of their last retry.
SEEN = "_seen.json"


def as_parked(
    rows: DataFrame,
    table: SilverTable,
    dimensions: Sequence[lookup.Dimension],
    moment: datetime,
) -> DataFrame:
    """Judged rows with the columns of parked rows.

    Args:
        moment: when the batch started, for rows that were not parked before.
    """
    return rows.select(
        row_text.to_text(hidden(ROW), row_type(rows)).alias("row"),
        F.lit(row_type(rows).json()).alias("shape"),
        outcome.rules_broken(table, moment).alias("rules"),
        outcome.reasons(rows, table).alias("reasons"),
        lookup.waits_for(dimensions).alias("waits_for"),
        _file(rows).alias("file"),
        F.coalesce(hidden(SINCE), F.lit(moment)).alias("since"),
        hidden(PARKED).alias("id"),
    )


def of_shape(parked: DataFrame, shape: StructType) -> DataFrame:
    """The parked rows that fit the current shape of the source.

    The config has changed since the others were parked. They stay parked: with other column
    names and types their values would be lost.
    """
    shapes = [row["shape"] for row in parked.select("shape").distinct().collect()]
    fit = [text for text in shapes if _fits(StructType.fromJson(json.loads(text)), shape)]
    return parked if len(fit) == len(shapes) else parked.where(F.col("shape").isin(fit))


def _fits(old: DataType, current: DataType) -> bool:
    """Whether each value of the old type is, without loss, a value of the current one."""
    if isinstance(old, StructType) and isinstance(current, StructType):
        return all(
            field.name in current.names and _fits(field.dataType, current[field.name].dataType)
            for field in old
        )
    if isinstance(old, ArrayType) and isinstance(current, ArrayType):
        return _fits(old.elementType, current.elementType)
    if isinstance(old, MapType) and isinstance(current, MapType):
        return old.keyType == current.keyType and _fits(old.valueType, current.valueType)
    # A column's type grows wider, never narrower.
    return old == current or (isinstance(old, NumericType) and isinstance(current, NumericType))


def restored(parked: DataFrame, shape: StructType) -> DataFrame:
    """Parked rows as rows of the source, with the hidden columns of parked rows."""
    row = row_text.from_text(F.col("row"), shape)
    return parked.select(
        row.alias(ROW),
        F.col("since").alias(SINCE),
        F.col("id").alias(PARKED),
        F.array_contains("rules", outcome.WHERE).alias(UNDECIDED),
        F.when(
            F.array_contains("rules", outcome.ENVELOPE),
            F.lit("the message is no change that can be read"),
        ).alias(UNREADABLE),
    ).select(
        *(col(name, of=ROW) for name in shape.names),
        *(hidden(name) for name in (ROW, SINCE, PARKED, UNDECIDED, UNREADABLE)),
    )


def changed(rows: DataFrame, changes: Mapping[str, str]) -> DataFrame:
    """Restored rows with some columns set to SQL over the row.

    Raises:
        UsageError: the rows lack one of the columns.
    """
    if not changes:
        return rows
    own = {name: col(name) for name in rows.columns if not is_hidden(name)}
    if missing := [name for name in changes if name not in own]:
        raise UsageError(
            f"the rows have no column {', '.join(missing)}; they have {', '.join(own)}",
            code="no_such_column",
            untouched="nothing was written",
        )
    values = _values(rows, changes)
    # A user who sets columns of a row wants the row in the table, whatever `where` says.
    readable = {UNDECIDED: F.lit(False), UNREADABLE: F.lit(None).cast("string")}
    rows = rows.withColumns({**values, **readable})
    return rows.withColumn(ROW, F.struct(*own.values()))


def without_effect(rows: DataFrame, changes: Mapping[str, str]) -> list[str]:
    """The columns of `changes` that have the value already, in every restored row."""

    def differs(name: str, value: Column) -> Column:
        # As JSON: maps cannot be compared.
        old, new = (F.to_json(F.struct(one.alias("of"))) for one in (col(name), value))
        return F.count_if(~old.eqNullSafe(new)).alias(name)

    values = _values(rows, changes)
    counts = rows.agg(*[differs(name, value) for name, value in values.items()]).head()
    return [name for name in changes if counts is not None and counts[name] == 0]


def _values(rows: DataFrame, changes: Mapping[str, str]) -> dict[str, Column]:
    kinds = {name: rows.schema[name].dataType for name in changes}
    return {name: F.expr(sql).cast(kinds[name]) for name, sql in changes.items()}


def _file(rows: DataFrame) -> Column:
    has = INPUT_FILE in row_type(rows).names
    return col(INPUT_FILE, of=ROW) if has else F.lit(None).cast("string")
