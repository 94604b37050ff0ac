"""The second part of a row's way, one row in and one row out: its casts and computed columns.

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
    """The table's casts; behind them, where one rescues, what was unreadable is put away."""
    made = [
        Step(f"cast.{name}", cast.to, partial(_cast, name=name, cast=cast))
        for name, cast in table.cast.items()
    ]
    rescuing = [name for name, cast in table.cast.items() if cast.rescue]
    if rescuing:
        rescue = partial(_put_away, names=rescuing)
        made.append(Step("cast", f"rescue of {', '.join(rescuing)}", rescue))
    return made


def column_steps(table: SilverTable) -> list[Step]:
    """The table's computed columns, each from those before it."""
    return [
        Step(f"columns.{name}", sql, partial(_computed, name=name, sql=sql))
        for name, sql in table.columns.items()
    ]


def cast_mark(name: str) -> str:
    """The column that tells whether a value was there that could not be read as the type."""
    return f"cast {name}"


def _read(name: str) -> str:
    """The column that has a value as the type, while it is judged."""
    return f"read {name}"


def _text(name: str) -> str:
    """The column that keeps an unreadable value's text until it is put away."""
    return f"text {name}"


def _cast(rows: DataFrame, name: str, cast: Cast) -> DataFrame:
    field, to = casts.named(rows, name), DataType.fromDDL(cast.to)
    casts.check_formats(rows.sparkSession, cast.formats, to)
    has, column, read = field.dataType, col(field.name), col(_read(name))
    value, mark = column, F.lit(False)
    if has != to:
        # A column of its own: written out, each use below would compute it once more.
        rows = rows.withColumn(_read(name), casts.value(column, has, to, cast.formats))
        value = casts.in_calendar(read, to)
        mark = value.isNull() & column.isNotNull()
    filled = value
    if cast.default is not None:
        filled = F.coalesce(value, _default(cast.default, to))
    beside = [mark.alias(cast_mark(name))]
    if cast.rescue:
        beside.append(F.when(mark, column.cast("string")).alias(_text(name)))
    return casts.replaced(rows, field.name, filled.alias(field.name), beside=beside).drop(read)


def _put_away(rows: DataFrame, names: list[str]) -> DataFrame:
    texts = {name: col(_text(name)) for name in names}
    return casts.rescue(rows, texts, done="cast").drop(*texts.values())


def _computed(rows: DataFrame, name: str, sql: str) -> DataFrame:
    if _WINDOW.search(re.sub(_QUOTED, "''", sql)):
        raise casts.wrong(
            f"{name} is computed from its own row; `over (…)` looks at the other rows of its "
            "batch, and which these are is chance"
        )
    # Within another expression Spark refuses what would make several rows or columns of one.
    return rows.withColumn(name, F.when(F.lit(True), F.expr(sql)))


def _default(default: object, to: DataType) -> Column:
    """A default as a constant of the type.

    Raises:
        UsageError: it is none, as it stands.
    """
    try:
        return literal.of(default, to)
    except ValueError as none:
        raise casts.wrong(f"the default {none}") from none
