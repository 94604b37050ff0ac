"""The unknown member: the row of a dimension for facts without a match."""

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

# Its surrogate key, unless `unknown_member` gives another.
KEY = -1
# Since when it is valid. Not the year 1: some readers have timestamps in nanoseconds.
BEGINNING = "1900-01-01"
_MOMENTS = (DateType, TimestampType, TimestampNTZType)


def member(table: SilverTable, schema: StructType) -> dict[str, Column]:
    """The row as constants by column; columns without a value in the config are null.

    Args:
        table: a dimension with an `unknown_member`.
        schema: all columns of its table.

    Raises:
        UsageError: a value is for a column that does not exist or has another type, or a
            column that cannot be null has no value.
    """
    values = _values(table, schema)
    missing = [name for name in values if name not in schema.names]
    if missing:
        raise _wrong(
            f"there is no column {', '.join(missing)}; there are {', '.join(schema.names)}"
        )
    needed = [field.name for field in schema if not field.nullable and field.name not in values]
    if needed:
        raise _wrong(f"{', '.join(needed)} cannot be null: give a value")
    constants = {}
    for field in schema:
        try:
            constants[field.name] = (
                literal.of(values[field.name], field.dataType)
                if field.name in values
                else F.lit(None).cast(field.dataType)
            )
        except ValueError as error:
            raise _wrong(f"{field.name}: {error}") from error
    return constants


def is_member(rows: DataFrame, table: SilverTable) -> Column:
    """Whether a row has the key of the table's unknown member; null equals null."""
    if table.unknown_member is None:
        return F.lit(False)
    kinds = {field.name: field.dataType for field in rows.schema}
    same = []
    for key in table.keys or ():
        value = table.unknown_member.get(key)
        try:
            constant = F.lit(None) if value is None else literal.of(value, kinds[key])
        except ValueError as error:
            raise _wrong(f"{key}: {error}") from error
        same.append(col(key).eqNullSafe(constant))
    return reduce(lambda left, right: left & right, same)


def uses_unknown_member(lookup: Lookup) -> bool:
    """Whether rows without a match get the unknown member, at once or after their hold."""
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


def _wrong(problem: str) -> UsageError:
    return UsageError(
        f"unknown_member: {problem}",
        code="invalid_unknown_member",
        untouched="nothing was written",
        next_step="fix `unknown_member` of the table in the config, then: medallion validate",
    )
