"""Rows that do not go on: into the table's quarantine, or where they wait for a dimension."""

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
from medallion_jobs.lake.hidden_columns import PARKED, ROW, SINCE, UNDECIDED, hidden, is_hidden
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine import lookup, outcome
from medallion_jobs.refine.quarantine import row_text

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Beside held rows: how far they were looked at.
SEEN = "_seen.json"


def as_parked(
    rows: DataFrame,
    table: SilverTable,
    dimensions: Sequence[lookup.Dimension],
    moment: datetime,
) -> DataFrame:
    """Judged rows in the form in which they are parked."""
    return rows.select(
        row_text.to_text(hidden(ROW), _kept(rows)).alias("row"),
        F.lit(_kept(rows).json()).alias("shape"),
        outcome.rules_broken(table, moment).alias("rules"),
        outcome.reasons(rows, table).alias("reasons"),
        lookup.waits_for(dimensions).alias("waits_for"),
        _file(rows).alias("file"),
        F.coalesce(hidden(SINCE), F.lit(moment)).alias("since"),
        hidden(PARKED).alias("id"),
    )


def of_shape(parked: DataFrame, shape: StructType) -> DataFrame:
    """Those parked rows that can be read as they were; the config has shaped others otherwise.

    These stay where they are: under other names and types, what they hold would be lost.
    """
    shapes = [row["shape"] for row in parked.select("shape").distinct().collect()]
    fit = [text for text in shapes if _fits(StructType.fromJson(json.loads(text)), shape)]
    return parked if len(fit) == len(shapes) else parked.where(F.col("shape").isin(fit))


def _fits(was: DataType, now: DataType) -> bool:
    """Whether all of a value of a type that was is in one of the type that is now."""
    if isinstance(was, StructType) and isinstance(now, StructType):
        return all(
            field.name in now.names and _fits(field.dataType, now[field.name].dataType)
            for field in was
        )
    if isinstance(was, ArrayType) and isinstance(now, ArrayType):
        return _fits(was.elementType, now.elementType)
    if isinstance(was, MapType) and isinstance(now, MapType):
        return was.keyType == now.keyType and _fits(was.valueType, now.valueType)
    # A column grows wider, never narrower.
    return was == now or (isinstance(was, NumericType) and isinstance(now, NumericType))


def called(parked: DataFrame, shape: StructType) -> DataFrame:
    """Parked rows as they were, with the marks of rows that were parked."""
    back = row_text.from_text(F.col("row"), shape)
    return parked.select(
        back.alias(ROW),
        F.col("since").alias(SINCE),
        F.col("id").alias(PARKED),
        F.array_contains("rules", outcome.WHERE).alias(UNDECIDED),
    ).select(
        *(col(name, of=ROW) for name in shape.names),
        *(hidden(name) for name in (ROW, SINCE, PARKED, UNDECIDED)),
    )


def changed(rows: DataFrame, changes: Mapping[str, str]) -> DataFrame:
    """Parked rows as they were, but for columns that are set to SQL over the row.

    Raises:
        UsageError: the row has no such column.
    """
    if not changes:
        return rows
    own = {name: col(name) for name in rows.columns if not is_hidden(name)}
    if missing := [name for name in changes if name not in own]:
        raise UsageError(
            f"the rows have no column {', '.join(missing)}; they have {', '.join(own)}",
            untouched="nothing was written",
        )
    kinds = {name: rows.schema[name].dataType for name in changes}
    values = {name: F.expr(sql).cast(kinds[name]) for name, sql in changes.items()}
    # Whoever sets columns of a row says by it that the table is to have the row.
    rows = rows.withColumns({**values, UNDECIDED: F.lit(False)})
    return rows.withColumn(ROW, F.struct(*own.values()))


def _file(rows: DataFrame) -> Column:
    has = INPUT_FILE in _kept(rows).names
    return col(INPUT_FILE, of=ROW) if has else F.lit(None).cast("string")


def _kept(rows: DataFrame) -> StructType:
    kept = rows.schema[ROW].dataType
    assert isinstance(kept, StructType)  # a recipe made it
    return kept
