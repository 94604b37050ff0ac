"""Rules about keys, which need other rows: `references` and `unique`.

The number of rows does not change: the joined frames have each key once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType

from medallion_jobs.config import Reference
from medallion_jobs.lake.tables.sql import col, over_row

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def with_unmatched(
    rows: DataFrame, broken: str, reference: Reference, dimension: DataFrame
) -> DataFrame:
    """Adds the column `broken`: true if a row's key is null or not in the dimension.

    Args:
        dimension: the distinct keys of the dimension.
    """
    names = {name: f"{broken} key {place}" for place, name in enumerate(reference.on)}
    keys = dimension.select(
        *(col(name).alias(hidden) for name, hidden in names.items()),
        F.lit(True).alias(f"{broken} found"),
    )
    wanted = [over_row(rows, sql) for sql in reference.on.values()]
    types = [field.dataType for field in rows.select(*wanted).schema]
    alike = [
        _comparable(key, kind, dimension.schema[name].dataType) == col(names[name])
        for name, key, kind in zip(reference.on, wanted, types, strict=True)
    ]
    is_unmatched = col(f"{broken} found").isNull()
    return _joined(rows, broken, keys, reduce(and_, alike), is_unmatched)


def with_duplicates(
    rows: DataFrame,
    broken: str,
    columns: Sequence[str],
    existing: DataFrame | None,
    misfit: Column,
) -> DataFrame:
    """Adds the column `broken`: true if another row, here or in `existing`, has the same values.

    Nulls are equal. It is true of all rows with the same values, including the first.

    Args:
        misfit: rows whose values did not fit their column, and which equal no other row.
    """
    same = Window.partitionBy(*(col(name) for name in columns), misfit)
    rows = rows.withColumn(broken, (F.count(F.lit(1)).over(same) > 1) & ~misfit)
    if existing is None:
        return rows
    names = {name: f"{broken} key {place}" for place, name in enumerate(columns)}
    stored = existing.select(*(col(name).alias(hidden) for name, hidden in names.items()))
    keys = stored.distinct().withColumn(f"{broken} found", F.lit(True))
    alike = [col(name).eqNullSafe(col(hidden)) for name, hidden in names.items()]
    is_duplicate = col(broken) | (col(f"{broken} found").isNotNull() & ~misfit)
    return _joined(rows, broken, keys, reduce(and_, alike), is_duplicate)


def _joined(
    rows: DataFrame, broken: str, keys: DataFrame, alike: Column, is_broken: Column
) -> DataFrame:
    kept = [col(name) for name in rows.columns if name != broken]
    return rows.join(keys, alike, "left").select(*kept, is_broken.alias(broken))


def _comparable(key: Column, own: DataType, wanted: DataType) -> Column:
    """The row's key in the dimension's type, if one of the two is text.

    Spark's own cast would fail at the first text that is no number.
    """
    is_text = isinstance(own, StringType), isinstance(wanted, StringType)
    return key.try_cast(wanted) if is_text[0] != is_text[1] else key
