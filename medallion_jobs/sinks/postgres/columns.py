"""How columns of a Delta table are stored in PostgreSQL.

Values are staged as numbers and texts, so that no time zone of a JVM or a server can shift them:
a date as its days since 1970, a timestamp as its microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from medallion_jobs.config.sinks import LONGEST_NAME
from medallion_jobs.errors import UsageError, rebuild_command
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.sinks.postgres.faults import Place
from medallion_jobs.sinks.postgres.names import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import DataType, StructType

_DAY_MICROS = 86_400_000_000
_TIMESTAMP = (
    "(timestamp '1970-01-01' + ({0} / " + str(_DAY_MICROS) + ")::int * interval '1 day'"
    " + ({0} % " + str(_DAY_MICROS) + ") * interval '1 microsecond')"
)


@dataclass(frozen=True)
class _Storage:
    """How one type is stored.

    Attributes:
        kind: the type in PostgreSQL, as `format_type` names it.
        staged: the type in the staging table; empty: the same as `kind`.
        crossing: converts Spark's value to the staged one.
        arrived: SQL that converts the staged value (`{0}`) to the stored one.
    """

    kind: str
    staged: str = ""
    crossing: Callable[[Column], Column] = lambda value: value
    arrived: str = "{0}"


def _as_json(value: Column) -> Column:
    return F.to_json(value, {"ignoreNullFields": "false"})


def _micros(value: Column) -> Column:
    # Also for a timestamp without a zone: the session is in UTC, which skips no hour.
    return F.unix_micros(value.cast("timestamp"))


_STORAGE: dict[type[DataType], _Storage] = {
    T.LongType: _Storage("bigint"),
    T.IntegerType: _Storage("integer"),
    T.ShortType: _Storage("smallint"),
    T.ByteType: _Storage("smallint", crossing=lambda value: value.cast("smallint")),
    T.DoubleType: _Storage("double precision"),
    T.FloatType: _Storage("real"),
    T.StringType: _Storage("text"),
    T.CharType: _Storage("text"),
    T.VarcharType: _Storage("text"),
    T.BooleanType: _Storage("boolean"),
    T.BinaryType: _Storage("bytea"),
    T.DateType: _Storage("date", "integer", F.unix_date, "(date '1970-01-01' + {0})"),
    T.TimestampType: _Storage(
        "timestamp with time zone", "bigint", _micros, _TIMESTAMP + " AT TIME ZONE 'UTC'"
    ),
    T.TimestampNTZType: _Storage("timestamp without time zone", "bigint", _micros, _TIMESTAMP),
    T.StructType: _Storage("jsonb", "text", _as_json, "{0}::jsonb"),
    T.ArrayType: _Storage("jsonb", "text", _as_json, "{0}::jsonb"),
    T.MapType: _Storage("jsonb", "text", _as_json, "{0}::jsonb"),
}


@dataclass(frozen=True)
class Stored:
    """A column in Spark, in the staging table and in the database.

    Attributes:
        name: its name in Spark and in the database.
        staged_name: its generated name in the staging table.
        kind, staged_kind: its types in the database and in the staging table.
        has_text: whether its text may have characters that PostgreSQL cannot store.
    """

    name: str
    staged_name: str
    kind: str
    staged_kind: str
    has_text: bool
    _storage: _Storage

    @property
    def sql(self) -> str:
        return quoted(self.name)

    @property
    def crossing(self) -> Column:
        """Spark's value as the staged column."""
        value = self._storage.crossing(col(self.name))
        return value.alias(self.staged_name)

    def arrived(self, alias: str) -> str:
        """SQL of the stored value, from the staging table with this alias."""
        return self._storage.arrived.format(f"{alias}.{self.staged_name}")

    @property
    def with_nul(self) -> Column:
        """Whether the staged value has a NUL character, which PostgreSQL cannot store."""
        value = col(self.staged_name)
        if self.kind == "jsonb":
            return value.rlike(r"(?<!\\)(\\\\)*\\u0000")
        return F.contains(value, F.lit("\0"))


def stored(schema: StructType, place: Place) -> list[Stored]:
    """The columns of a table with this schema.

    Raises:
        UsageError: PostgreSQL has no type for a column, or its name is too long.
    """
    columns, wrong = [], []
    for number, field in enumerate(schema.fields):
        storage = _storage(field.dataType)
        if storage is None:
            kind = field.dataType.simpleString()
            wrong.append(f"{field.name}: PostgreSQL has no type for {kind}")
        elif len(field.name.encode()) > LONGEST_NAME:
            wrong.append(f"{field.name}: a name can have at most {LONGEST_NAME} bytes")
        else:
            staged_kind = storage.staged or storage.kind
            has_text = staged_kind == "text"
            columns.append(
                Stored(field.name, f"c{number}", storage.kind, staged_kind, has_text, storage)
            )
    if wrong:
        raise UsageError(
            f"{place}: columns that cannot be loaded:\n  " + "\n  ".join(wrong),
            code="sink_columns_not_loadable",
            untouched="nothing was loaded",
            next_step="cast them in the gold table's `columns`, rename them, or leave them out; "
            f"then rebuild it: {rebuild_command(place.table)} --yes",
        )
    return columns


def _storage(kind: DataType) -> _Storage | None:
    if isinstance(kind, T.DecimalType):
        return _Storage(f"numeric({kind.precision},{kind.scale})")
    return next((found for known, found in _STORAGE.items() if isinstance(kind, known)), None)


_WHOLE = {"smallint": 5, "integer": 10, "bigint": 19}  # digits
_NUMERIC = re.compile(r"numeric(?:\((\d+),(-?\d+)\))?")


def widens(narrow: str, wide: str) -> bool:
    """Whether the wide type can hold each value of the narrow one without loss."""
    if narrow == wide:
        return True
    if narrow in _WHOLE and wide in _WHOLE:
        return _WHOLE[narrow] < _WHOLE[wide]
    if numeric := _NUMERIC.fullmatch(wide):
        return numeric[1] is None or _fits(narrow, int(numeric[1]), int(numeric[2]))
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
