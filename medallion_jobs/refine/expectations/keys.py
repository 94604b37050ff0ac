"""Rules about keys: `references` and `unique`, for which other rows are looked at.

Rows keep their number: what is joined has each key once.
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


def with_strangers(
    rows: DataFrame, mark: str, reference: Reference, dimension: DataFrame
) -> DataFrame:
    """Adds `mark`: true where a row's key is not in the dimension, or is null.

    Args:
        dimension: its distinct keys.
    """
    names = {name: f"{mark} key {place}" for place, name in enumerate(reference.on)}
    keys = dimension.select(
        *(col(name).alias(hidden) for name, hidden in names.items()),
        F.lit(True).alias(f"{mark} found"),
    )
    wanted = [over_row(rows, sql) for sql in reference.on.values()]
    mine = [field.dataType for field in rows.select(*wanted).schema]
    alike = [
        _comparable(key, kind, dimension.schema[name].dataType) == col(names[name])
        for name, key, kind in zip(reference.on, wanted, mine, strict=True)
    ]
    return _marked(rows, mark, keys, reduce(and_, alike), col(f"{mark} found").isNull())


def with_repeated(
    rows: DataFrame,
    mark: str,
    columns: Sequence[str],
    existing: DataFrame | None,
    apart: Column,
) -> DataFrame:
    """Adds `mark`: true where another row, of these or of `existing`, has the same values.

    Nulls are equal. All rows with the values have the mark, the first of them too.

    Args:
        apart: rows whose values are not known, and which are therefore equal to no other.
    """
    same = Window.partitionBy(*(col(name) for name in columns), apart)
    rows = rows.withColumn(mark, (F.count(F.lit(1)).over(same) > 1) & ~apart)
    if existing is None:
        return rows
    names = {name: f"{mark} key {place}" for place, name in enumerate(columns)}
    there = existing.select(*(col(name).alias(hidden) for name, hidden in names.items()))
    keys = there.distinct().withColumn(f"{mark} found", F.lit(True))
    alike = [col(name).eqNullSafe(col(hidden)) for name, hidden in names.items()]
    is_repeated = col(mark) | (col(f"{mark} found").isNotNull() & ~apart)
    return _marked(rows, mark, keys, reduce(and_, alike), is_repeated)


def _marked(
    rows: DataFrame, mark: str, keys: DataFrame, alike: Column, broken: Column
) -> DataFrame:
    kept = [col(name) for name in rows.columns if name != mark]
    return rows.join(keys, alike, "left").select(*kept, broken.alias(mark))


def _comparable(key: Column, mine: DataType, theirs: DataType) -> Column:
    """The row's key in the dimension's type where one of the two is text.

    Spark would cast the text, and stop at the first that is no number.
    """
    is_text = isinstance(mine, StringType), isinstance(theirs, StringType)
    return key.try_cast(theirs) if is_text[0] != is_text[1] else key
