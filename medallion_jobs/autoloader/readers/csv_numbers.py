"""Numbers with a decimal comma in csv files: `1.234,56`, `12,5`."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, NumericType

from medallion_jobs.autoloader.readers.csv_dialect import flag

# Points stand between groups of three digits, or not at all.
_WITH_COMMA = r"^\s*-?(0|[1-9][0-9]*|[1-9][0-9]{0,2}(\.[0-9]{3})+)(,[0-9]+)?\s*$"


def plain(text: Column, options: Mapping[str, str]) -> Column:
    """The text of a number, with a decimal point; null if the options want another form."""
    if not flag(options, "decimal_comma", default=False):
        return text
    return F.when(text.rlike(_WITH_COMMA), F.translate(F.trim(text), ",.", "."))


def of_type(text: Column, kind: DataType, options: Mapping[str, str]) -> Column:
    """The text of a column's value, as `strict.value` reads it; null if it is not of the form."""
    return plain(text, options) if isinstance(kind, NumericType) else text
