"""Columns that a row bears on its way and that no table has: a space in each name sees to that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medallion_jobs.lake.tables.sql import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# The row as it was when it had been shaped: what a parked row keeps.
ROW = "the row"
# When a row was parked first, and its id there; null for a row that comes from the source.
SINCE, PARKED = "held since", "parked id"
# By name, why a value that something of the table reads did not fit; see `rescued`.
MISFITS = "values that do not fit"
# `where` is not true of the row because a value that it reads did not fit.
UNDECIDED = "where is undecided"
# A key, or a column that a rule reads, has a value that did not fit.
RESCUED_VALUE = "has a rescued value"
LATE = "is late"
# The row has the key of the table's unknown member.
UNKNOWN = "is the unknown member"
OUTCOME = "fate of the row"


def hidden(name: str) -> Column:
    """The mark of this name."""
    return col(name)


def is_hidden(name: str) -> bool:
    """Whether a column is a mark."""
    return " " in name


def without_hidden(rows: DataFrame) -> DataFrame:
    """The rows' own columns."""
    return rows.select(*[col(name) for name in rows.columns if not is_hidden(name)])
