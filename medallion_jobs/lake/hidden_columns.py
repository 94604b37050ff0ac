"""Columns that rows have during a batch and that are never written to a table.

Each name contains a space, so no column of a table can have the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from medallion_jobs.lake.tables.sql import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType

# The shaped row, as it is stored if the row is parked.
ROW = "the row"
# When the row was first parked, and its id among the parked rows; null for a row of the source.
SINCE, PARKED = "held since", "parked id"
# By column, the reason why a value that the table reads did not fit; see `rescued`.
MISFITS = "values that do not fit"
# `where` is not true for the row because a value that it reads did not fit.
UNDECIDED = "where is undecided"
# Why a message is not a change that can be read; null if it is one.
UNREADABLE = "why the change is unreadable"
# A key, or a column that a rule reads, has a value that did not fit.
RESCUED_VALUE = "has a rescued value"
LATE = "is late"
# The row has the key of the table's unknown member.
UNKNOWN = "is the unknown member"
# Another change of its key has the same sequence: the columns in which they differ, else null.
AMBIGUOUS = "differs in"
# The value that marks the dump of the row, and why that dump is refused; null if it is not.
DUMP, REFUSED_DUMP = "dump of the row", "why its dump is refused"
OUTCOME = "outcome of the row"
# The row is not written, and counts as one that its transaction has.
IS_ASIDE = "is set aside"


def hidden(name: str) -> Column:
    """The hidden column of this name."""
    return col(name)


def row_type(rows: DataFrame) -> StructType:
    """The type of `ROW`, of rows that a recipe has shaped."""
    return cast("StructType", rows.schema[ROW].dataType)


def is_hidden(name: str) -> bool:
    """Whether a column is a hidden one."""
    return " " in name


def without_hidden(rows: DataFrame) -> DataFrame:
    """The rows without their hidden columns."""
    return rows.select(*[col(name) for name in rows.columns if not is_hidden(name)])
