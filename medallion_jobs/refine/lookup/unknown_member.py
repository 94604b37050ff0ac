"""The row of a dimension that stands for what is not known."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DateType, StructType, TimestampNTZType, TimestampType

from medallion_jobs.config import Lookup, SilverTable
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables import literal
from medallion_jobs.lake.tables.scd_columns import DELETED, IS_CURRENT, VALID_FROM
from medallion_jobs.lake.tables.sql import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Its surrogate key, unless the mapping has another.
KEY = -1
# From when it is valid. Not the year 1: there are readers to whom moments are nanoseconds.
BEGINNING = "1900-01-01"
_MOMENTS = (DateType, TimestampType, TimestampNTZType)


def member(table: SilverTable, schema: StructType) -> dict[str, Column]:
    """The row as constants, by column; what the config gives no value for is null.

    Args:
        table: a dimension with an `unknown_member`.
        schema: all columns of its table.

    Raises:
        UsageError: values for columns that there are none of, or of another type.
    """
    values = _values(table, schema)
    missing = [name for name in values if name not in schema.names]
    if missing:
        raise _wrong(
            f"there is no column {', '.join(missing)}; there are {', '.join(schema.names)}"
        )
    needed = [one.name for one in schema if not one.nullable and one.name not in values]
    if needed:
        raise _wrong(f"{', '.join(needed)} cannot be null: give a value")
    made = {}
    for field in schema:
        try:
            made[field.name] = (
                literal.of(values[field.name], field.dataType)
                if field.name in values
                else F.lit(None).cast(field.dataType)
            )
        except ValueError as none:
            raise _wrong(f"{field.name}: {none}") from none
    return made


def is_member(rows: DataFrame, table: SilverTable) -> Column:
    """Whether a row has the key of the table's unknown member, null being null."""
    if table.unknown_member is None:
        return F.lit(False)
    kinds = {field.name: field.dataType for field in rows.schema}
    same = []
    for key in table.keys or ():
        value = table.unknown_member.get(key)
        try:
            constant = F.lit(None) if value is None else literal.of(value, kinds[key])
        except ValueError as none:
            raise _wrong(f"{key}: {none}") from none
        same.append(col(key).eqNullSafe(constant))
    return reduce(lambda one, other: one & other, same)


def taken_for_missed(lookup: Lookup) -> bool:
    """Whether a row that misses goes on, now or at last, with the unknown member."""
    last = lookup.after_hold if lookup.on_miss == "hold" else lookup.on_miss
    return last == "unknown"


def _values(table: SilverTable, schema: StructType) -> dict[str, object]:
    values: dict[str, object] = {}
    if table.surrogate_key:
        values[table.surrogate_key] = KEY
    if table.write == "scd2":
        values[IS_CURRENT] = True
        if VALID_FROM in schema.names and isinstance(schema[VALID_FROM].dataType, _MOMENTS):
            values[VALID_FROM] = BEGINNING
    if table.deletes and table.deletes.how == "soft":
        values[DELETED] = False
    return {**values, **(table.unknown_member or {})}


def _wrong(what: str) -> UsageError:
    return UsageError(
        f"unknown_member: {what}",
        untouched="nothing was written",
        next_step="mend `unknown_member` of the table in the config, then: medallion validate",
    )
