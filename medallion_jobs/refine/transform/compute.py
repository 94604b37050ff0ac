"""The second stage of the transforms, one row in and one row out: casts and computed columns.

cast -> (lookups) -> columns
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from medallion_jobs.config import Cast, SilverTable
from medallion_jobs.lake.tables import literal
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.transform import casts
from medallion_jobs.refine.transform.step import Step

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`"
_WINDOW = re.compile(r"\bover\s*\(", re.IGNORECASE)


def cast_steps(table: SilverTable) -> list[Step]:
    """The table's casts, and a last step that rescues the values they could not read."""
    steps = [
        Step(f"cast.{name}", cast.to, partial(_cast, name=name, cast=cast))
        for name, cast in table.cast.items()
    ]
    rescuing = [name for name, cast in table.cast.items() if cast.rescue]
    if rescuing:
        rescue = partial(_rescue, names=rescuing)
        steps.append(Step("cast", f"rescue of {', '.join(rescuing)}", rescue))
    return steps


def column_steps(table: SilverTable) -> list[Step]:
    """The table's computed columns; each may use those before it."""
    return [
        Step(f"columns.{name}", sql, partial(_computed, name=name, sql=sql))
        for name, sql in table.columns.items()
    ]


def cast_failed(name: str) -> str:
    """The hidden column that is true if the column's value could not be cast."""
    return f"cast {name}"


def _read(name: str) -> str:
    """The hidden column with the cast value, until it is checked."""
    return f"read {name}"


def _text(name: str) -> str:
    """The hidden column with the text of an unreadable value, until it is rescued."""
    return f"text {name}"


def _cast(rows: DataFrame, name: str, cast: Cast) -> DataFrame:
    field, to = casts.named(rows, name), DataType.fromDDL(cast.to)
    casts.check_formats(rows.sparkSession, cast.formats, to)
    has, column, read = field.dataType, col(field.name), col(_read(name))
    value, has_failed = column, F.lit(False)
    if has != to:
        # A column of its own: as an expression, each use below would compute it again.
        rows = rows.withColumn(_read(name), casts.value(column, has, to, cast.formats))
        value = casts.in_calendar(read, to)
        has_failed = value.isNull() & column.isNotNull()
    filled = value
    if cast.default is not None:
        filled = F.coalesce(value, _default(cast.default, to))
    beside = [has_failed.alias(cast_failed(name))]
    if cast.rescue:
        beside.append(F.when(has_failed, column.cast("string")).alias(_text(name)))
    return casts.replaced(rows, field.name, filled.alias(field.name), beside=beside).drop(read)


def _rescue(rows: DataFrame, names: list[str]) -> DataFrame:
    texts = {name: col(_text(name)) for name in names}
    return casts.rescue(rows, texts, done="cast").drop(*texts.values())


def _computed(rows: DataFrame, name: str, sql: str) -> DataFrame:
    if _WINDOW.search(re.sub(_QUOTED, "''", sql)):
        raise casts.wrong(
            f"{name} must be computed from its own row; `over (…)` uses the other rows of its "
            "batch, which are different in each run"
        )
    # Inside another expression Spark refuses functions that make several rows or columns.
    return rows.withColumn(name, F.when(F.lit(True), F.expr(sql)))


def _default(default: object, to: DataType) -> Column:
    """A default as a constant of the type.

    Raises:
        UsageError: the default is no value of the type.
    """
    try:
        return literal.of(default, to)
    except ValueError as error:
        raise casts.wrong(f"the default {error}") from error
