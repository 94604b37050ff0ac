"""How columns of a Delta table are kept in PostgreSQL.

Values cross as numbers and texts that no time zone of a JVM or a server can shift: a date
as its days, a moment as its microseconds since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from medallion_jobs.config.sinks import LONGEST_NAME
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.sinks.postgres.faults import Place
from medallion_jobs.sinks.postgres.names import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import DataType, StructType

_DAY_MICROS = 86_400_000_000
_MOMENT = (
    "(timestamp '1970-01-01' + ({0} / " + str(_DAY_MICROS) + ")::int * interval '1 day'"
    " + ({0} % " + str(_DAY_MICROS) + ") * interval '1 microsecond')"
)


@dataclass(frozen=True)
class _Kept:
    """How one type is kept.

    Attributes:
        kind: PostgreSQL's type, as `format_type` names it.
        staged: the type that crosses; that of `kind` itself, unless told.
        crossing: Spark's value as the staged one.
        arrived: SQL of the staged value as the kept one.
    """

    kind: str
    staged: str = ""
    crossing: Callable[[Column], Column] = lambda value: value
    arrived: str = "{0}"


def _as_json(value: Column) -> Column:
    return F.to_json(value, {"ignoreNullFields": "false"})


def _micros(value: Column) -> Column:
    # Of a timestamp without a zone, too: the session's zone is UTC, which skips no hour.
    return F.unix_micros(value.cast("timestamp"))


_KEPT: dict[type[DataType], _Kept] = {
    T.LongType: _Kept("bigint"),
    T.IntegerType: _Kept("integer"),
    T.ShortType: _Kept("smallint"),
    T.ByteType: _Kept("smallint", crossing=lambda value: value.cast("smallint")),
    T.DoubleType: _Kept("double precision"),
    T.FloatType: _Kept("real"),
    T.StringType: _Kept("text"),
    T.CharType: _Kept("text"),
    T.VarcharType: _Kept("text"),
    T.BooleanType: _Kept("boolean"),
    T.BinaryType: _Kept("bytea"),
    T.DateType: _Kept("date", "integer", F.unix_date, "(date '1970-01-01' + {0})"),
    T.TimestampType: _Kept(
        "timestamp with time zone", "bigint", _micros, _MOMENT + " AT TIME ZONE 'UTC'"
    ),
    T.TimestampNTZType: _Kept("timestamp without time zone", "bigint", _micros, _MOMENT),
    T.StructType: _Kept("jsonb", "text", _as_json, "{0}::jsonb"),
    T.ArrayType: _Kept("jsonb", "text", _as_json, "{0}::jsonb"),
    T.MapType: _Kept("jsonb", "text", _as_json, "{0}::jsonb"),
}


@dataclass(frozen=True)
class Stored:
    """A column, in Spark, on the way, and in the database.

    Attributes:
        name: its name, the same in both.
        staged_name: its name in the staging table, which is never one of a user's.
        kind: PostgreSQL's type.
        has_text: whether it may hold characters that PostgreSQL does not store.
    """

    name: str
    staged_name: str
    kind: str
    staged_kind: str
    has_text: bool
    _kept: _Kept

    @property
    def sql(self) -> str:
        return quoted(self.name)

    @property
    def crossing(self) -> Column:
        """Spark's value, as it crosses."""
        value = self._kept.crossing(col(self.name))
        return value.alias(self.staged_name)

    def arrived(self, alias: str) -> str:
        """SQL of the value, from its staged one in the table of that alias."""
        return self._kept.arrived.format(f"{alias}.{self.staged_name}")

    @property
    def with_nul(self) -> Column:
        """Whether the value, as it crosses, has a character that PostgreSQL does not store."""
        value = col(self.staged_name)
        if self.kind == "jsonb":
            return value.rlike(r"(?<!\\)(\\\\)*\\u0000")
        return F.contains(value, F.lit("\0"))


def stored(schema: StructType, place: Place) -> list[Stored]:
    """How each column is kept.

    Raises:
        UsageError: PostgreSQL has no like of a column's type, or no room for its name.
    """
    made, wrong = [], []
    for number, field in enumerate(schema.fields):
        kept = _kept(field.dataType)
        if kept is None:
            kind = field.dataType.simpleString()
            wrong.append(f"{field.name}: {kind} has no like in PostgreSQL")
        elif len(field.name.encode()) > LONGEST_NAME:
            wrong.append(f"{field.name}: a name has {LONGEST_NAME} bytes at most there")
        else:
            staged_kind = kept.staged or kept.kind
            has_text = staged_kind == "text"
            made.append(Stored(field.name, f"c{number}", kept.kind, staged_kind, has_text, kept))
    if wrong:
        raise UsageError(
            f"{place}: columns that cannot be loaded:\n  " + "\n  ".join(wrong),
            untouched="nothing was loaded",
            next_step="cast them in the gold table's `columns`, name them otherwise, or leave "
            "them out",
        )
    return made


def _kept(kind: DataType) -> _Kept | None:
    if isinstance(kind, T.DecimalType):
        return _Kept(f"numeric({kind.precision},{kind.scale})")
    return next((kept for known, kept in _KEPT.items() if isinstance(kind, known)), None)


_WHOLE = {"smallint": 5, "integer": 10, "bigint": 19}  # digits
_NUMERIC = re.compile(r"numeric(?:\((\d+),(-?\d+)\))?")


def widens(narrow: str, wide: str) -> bool:
    """Whether each value of one type is, unchanged, one of the other."""
    if narrow == wide:
        return True
    if narrow in _WHOLE and wide in _WHOLE:
        return _WHOLE[narrow] < _WHOLE[wide]
    if room := _NUMERIC.fullmatch(wide):
        return room[1] is None or _fits(narrow, int(room[1]), int(room[2]))
    if wide in ("text", "character varying"):
        return narrow == "text" or narrow.startswith("character varying")
    return (narrow, wide) == ("real", "double precision")


def _fits(narrow: str, precision: int, scale: int) -> bool:
    if narrow in _WHOLE:
        return scale >= 0 and precision - scale >= _WHOLE[narrow]
    number = _NUMERIC.fullmatch(narrow)
    if number is None or number[1] is None:
        return False
    digits, decimals = int(number[1]), int(number[2])
    return scale >= decimals and precision - scale >= digits - decimals


def listed(columns: Sequence[Stored]) -> str:
    """The columns' names, for an INSERT."""
    return ", ".join(column.sql for column in columns)
