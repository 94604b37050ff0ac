"""The keys and the moment of a row, in types that compare with the dimension's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, NullType, StringType

from medallion_jobs.config import Lookup
from medallion_jobs.lake.tables.sql import col, over_row
from medallion_jobs.refine.lookup import hidden_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def type_of(rows: DataFrame, value: Column) -> DataType:
    return rows.select(value.alias("value")).schema["value"].dataType


def of_row(rows: DataFrame, lookup: Lookup, dimension: DataFrame) -> dict[str, Column]:
    """The row's keys, by the dimension's column, cast to its type; null if that is impossible."""
    values = {name: over_row(rows, sql) for name, sql in lookup.on.items()}
    return {
        name: _as_type(
            value, type_of(rows, value), dimension.schema[hidden_columns.key(number)].dataType
        )
        for number, (name, value) in enumerate(values.items())
    }


def moment_of_row(rows: DataFrame, sql: str, dimension: DataFrame) -> Column:
    """The row's moment; text is cast to the type of the dimension's dates, or is null."""
    moment = over_row(rows, sql)
    if isinstance(type_of(rows, moment), StringType):
        return moment.try_cast(type_of(dimension, _begin(dimension)))
    return moment


def _begin(dimension: DataFrame) -> Column:
    if hidden_columns.VERSIONS in dimension.columns:
        return F.element_at(col(hidden_columns.VERSIONS), 1)[hidden_columns.VALID_FROM]
    return col(hidden_columns.VALID_FROM)


def canonical(keys: Mapping[str, Column]) -> Column:
    """A unique text for a key, such as `{"customer_id":7}`; null if a part of it is null.

    Args:
        keys: the values by the dimension's column, in its type.
    """
    whole = hidden_columns.all_of(value.isNotNull() for value in keys.values())
    return F.when(whole, F.to_json(F.struct(*[v.alias(name) for name, v in keys.items()])))


def described(rows: DataFrame, lookup: Lookup) -> Column:
    """The key for messages, with the row's own values: `customer_id=7`."""
    parts = [
        F.concat(F.lit(f"{name}="), _text(over_row(rows, sql))) for name, sql in lookup.on.items()
    ]
    text = F.concat_ws(", ", *parts)
    if lookup.as_of is None:
        return text
    return F.concat(text, F.lit(" at "), _text(over_row(rows, lookup.as_of)))


def _text(value: Column) -> Column:
    return F.coalesce(value.cast("string"), F.lit("null"))


def _as_type(value: Column, has: DataType, wanted: DataType) -> Column:
    """The value as the wanted type; null if that type has no equal value."""
    if has == wanted:
        return value
    cast = value.try_cast(wanted)
    if isinstance(has, StringType | NullType):
        return cast
    # A cast of 7.5 to a whole number gives 7, which is another key.
    return F.when(cast.try_cast(has) == value, cast)
