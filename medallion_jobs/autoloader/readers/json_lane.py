"""The fast lane for JSON lines: lines that are written exactly like the first one.

Most files of JSON lines come from one writer, which writes the same keys in the same order
with the same spaces. Parsing such a line strictly as JSON costs many times as much as matching
it with a pattern of everything but its values. A text value must have no escape and no quote;
it is then what is between the quotes. Only lines that certainly match take the lane. Any other
line, and any line with a value that does not fit its column, is parsed as JSON, as without a
lane.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.autoloader.discovery.stores import store_for
from medallion_jobs.autoloader.readers import encodings, text_input
from medallion_jobs.autoloader.readers.records import Input
from medallion_jobs.lake.values import scalars

# Has a space, which no column of a table has in its name.
REGULAR = "regular line"
_PIECES = "regular pieces"
# How much of a file is searched for a first line, in bytes and in lines.
_HEAD, _LINES = 64 * 1024, 20

# U+FFFD is what a pattern sees of bytes that are not UTF-8.
_TEXT = r'[^"\\\x00-\x1f\ufffd]*+'
_LOCAL = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6}+)?+"
_MOMENT = _LOCAL + r"(?:Z|[+-][0-9]{2}:[0-9]{2})?+"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_NUMBER = r"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+"
# With no more digits than the type holds exactly, and in one notation only.
_WHOLE = r"-?+(?:0|[1-9][0-9]{0,14}+)"
_FRACTION = _WHOLE + r"(?:\.[0-9]{1,8}+)?+"
_DOUBLE = rf"(?![0-9.-]{{17}}){_FRACTION}"
_FLOAT = rf"(?![0-9.-]{{8}}){_FRACTION}"
_BOOLEAN = "(?:true|false)"

# By the form of a value and the types of its column, the pattern for values in the lane.
_BODIES: Sequence[tuple[str, tuple[type[DataType], ...], str]] = (
    ("number", (StringType,), _NUMBER),
    ("number", (IntegralType,), _WHOLE),
    ("number", (DecimalType,), _FRACTION),
    ("number", (DoubleType,), _DOUBLE),
    ("number", (FloatType,), _FLOAT),
    ("boolean", (BooleanType, StringType), _BOOLEAN),
    ("text", (StringType,), _TEXT),
    ("text", (TimestampType,), _MOMENT),
    ("text", (TimestampNTZType,), _LOCAL),
    ("text", (DateType,), _DAY),
)


@dataclass(frozen=True)
class Lane:
    """The form of regular lines.

    Attributes:
        pattern: a Java pattern that matches a whole regular line.
        places: by column, the number of the piece between quotes that has its value, and
            whether the value itself is in quotes.
        skipped: how many characters of such a piece come before a value without quotes.
    """

    pattern: str
    places: Mapping[str, tuple[int, bool]]
    skipped: int

    def add_to(self, lines: DataFrame, schema: StructType, options: Mapping[str, str]) -> DataFrame:
        """Adds columns with the values of regular lines, and `REGULAR`, which is never null."""
        line = F.col(text_input.VALUE)
        pieces = F.when(line.rlike(self.pattern), F.split(line, '"'))
        known = [(number, f) for number, f in enumerate(schema) if f.name in self.places]
        lines = lines.withColumn(_PIECES, pieces)
        lines = lines.withColumns(
            {value_name(number): self._value(f.name, f.dataType, options) for number, f in known}
        )
        fits = F.col(_PIECES).isNotNull()
        for number, _ in known:
            fits = fits & F.col(value_name(number)).isNotNull()
        return lines.withColumn(REGULAR, fits)

    def _value(self, column: str, kind: DataType, options: Mapping[str, str]) -> Column:
        place, is_quoted = self.places[column]
        piece = F.get(F.col(_PIECES), F.lit(place))
        if not is_quoted:
            # The piece between two quotes is `: 12, ` or, at the end, `: 12}`.
            piece = F.rtrim(F.substring(piece, self.skipped + 1, _HEAD), F.lit(", }"))
        if isinstance(kind, DecimalType):
            return scalars.value(piece, kind, options)
        return piece if isinstance(kind, StringType) else piece.try_cast(kind)


def value_name(number: int) -> str:
    """The name of the column with a regular line's value for the schema's column `number`."""
    return f"regular value {number}"


def lane_for(given: Input, schema: StructType) -> Lane | None:
    """The lane for files' lines, from a line of the first file; None if no line can have one."""
    if not given.files or not encodings.of(given.options).is_utf_8:
        return None
    try:
        path = given.files[0].path
        head = store_for(path, lambda: given.spark).head(path, _HEAD)
    except OSError:
        return None  # reading the file's lines will report the error
    lines = head.decode("utf-8", errors="replace").removeprefix("\ufeff").splitlines()[:_LINES]
    return next((lane for line in lines if (lane := _like(line, schema, given.options))), None)


def _like(line: str, schema: StructType, options: Mapping[str, str]) -> Lane | None:
    """The lane for lines that are written like this one; None if there can be none."""
    try:
        pairs = json.loads(line, object_pairs_hook=list, parse_int=_Raw, parse_float=_Raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return None
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names) or not set(names) <= set(schema.names):
        return None
    kinds = [schema[name].dataType for name in names]
    bodies = [_body(value, kind, options) for (_, value), kind in zip(pairs, kinds, strict=True)]
    for comma, colon in ((", ", ": "), (",", ":")):
        if line.strip(" \t") == _written(pairs, comma, colon) and all(bodies):
            pattern = _pattern(pairs, [body or "" for body in bodies], comma, colon)
            return Lane(pattern, dict(_places(pairs)), len(colon))
    return None


class _Raw(str):
    """A number as it is written."""


def _body(value: Any, kind: DataType, options: Mapping[str, str]) -> str | None:
    """The pattern of a column's values that are written like this one; None if there is none."""
    if isinstance(value, _Raw):
        form = "number"
    elif isinstance(value, bool):
        form = "boolean"
    elif isinstance(value, str):
        form = "text"
    else:
        return None
    has_formats = {scalars.TIMESTAMP_FORMAT, scalars.DATE_FORMAT} & options.keys()
    if has_formats and isinstance(kind, TimestampType | TimestampNTZType | DateType):
        return None
    return next((p for f, kinds, p in _BODIES if f == form and isinstance(kind, kinds)), None)


def _written(pairs: Sequence[tuple[str, Any]], comma: str, colon: str) -> str:
    """An object as a writer with these separators writes it."""
    return "{" + comma.join(f'"{name}"{colon}{_text(value)}' for name, value in pairs) + "}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, _Raw) else f'"{value}"'


def _pattern(
    pairs: Sequence[tuple[str, Any]], bodies: Sequence[str], comma: str, colon: str
) -> str:
    parts = [
        re.escape(f'"{name}"{colon}') + (body if _is_bare(value) else f'"{body}"')
        for (name, value), body in zip(pairs, bodies, strict=True)
    ]
    # Not `$`, which also matches before a last line terminator, such as U+2028.
    return r"\A\{" + re.escape(comma).join(parts) + r"\}\z"


def _places(pairs: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, tuple[int, bool]]]:
    """Where a line's values are when it is split at each quote: `{`, key, `: `, value, …"""
    key = 1
    for name, value in pairs:
        is_quoted = not _is_bare(value)
        yield name, (key + 2 if is_quoted else key + 1, is_quoted)
        key += 4 if is_quoted else 2


def _is_bare(value: object) -> bool:
    return isinstance(value, bool | _Raw)
