"""The fast lane of JSON lines: lines that are written like the first one, letter by letter.

Most files of JSON lines come from one writer, which puts the same keys in the same order
with the same spaces. To parse such a line as JSON, and strictly, costs many times what it
costs to see that it is one of them: it fits a pattern that holds all of it but its values,
whose texts can have no escape and no quote in them and are then what lies between the
quotes. Only what is certain goes this way. Any other line, and any line with a value that
does not fit its column, is parsed as JSON as if there were no lane.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
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
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import text_input
from medallion_jobs.lake.values import strict

# With a space, which no column of a table has in its name.
REGULAR = "regular line"
_PIECES = "regular pieces"
# How much of a file is looked at for a line to learn from, in bytes and in lines.
_HEAD, _LINES = 64 * 1024, 20

_TEXT = r'[^"\\\x00-\x1f]*+'
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:.+Z-]*+"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
# Of no more digits than a double holds exactly, and of one form only, so that the text of a
# number is the same here and where JSON is parsed.
_WHOLE = r"-?+(?:0|[1-9][0-9]{0,14}+)"
_BROKEN = _WHOLE + r"(?:\.[0-9]{1,8}+)?"
_TRUTH = "(?:true|false)"


_MOMENTS = (TimestampType, TimestampNTZType)
# By the form of a value and the type of its column, the pattern of what goes fast.
_BODIES: Sequence[tuple[str, tuple[type[DataType], ...], str]] = (
    ("number", (IntegralType, StringType), _WHOLE),
    ("number", (DecimalType, DoubleType, FloatType), _BROKEN),
    ("truth", (BooleanType,), _TRUTH),
    ("text", (StringType,), _TEXT),
    ("text", _MOMENTS, _MOMENT),
    ("text", (DateType,), _DAY),
)


@dataclass(frozen=True)
class Lane:
    """What regular lines look like.

    Attributes:
        pattern: a Java pattern that a regular line fits as a whole.
        places: by column, the number of the piece between quotes that has its value, and
            whether the value itself stands in quotes.
    """

    pattern: str
    places: Mapping[str, tuple[int, bool]]
    skipped: int

    def add_to(self, lines: DataFrame, schema: StructType, options: Mapping[str, str]) -> DataFrame:
        """Adds the values of regular lines, and `REGULAR`, which is never null."""
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
            # What lies between two quotes there: `: 12, ` or, at the end, `: 12}`.
            piece = F.rtrim(F.substring(piece, self.skipped + 1, _HEAD), F.lit(", }"))
        if isinstance(kind, DecimalType):
            return strict.value(piece, kind, options)
        return piece if isinstance(kind, StringType) else piece.try_cast(kind)


def value_name(number: int) -> str:
    """The column that has a regular line's value of the schema's column `number`."""
    return f"regular value {number}"


def learnt(
    spark: SparkSession, files: Sequence[FileEntry], schema: StructType, options: Mapping[str, str]
) -> Lane | None:
    """The lane of files' lines, from the first file; None where its lines have no use for one."""
    if not files or options.get(text_input.ENCODING, "utf-8").lower() not in ("utf-8", "utf8"):
        return None
    try:
        head = store_for(files[0].path, lambda: spark).head(files[0].path, _HEAD)
    except OSError:
        return None  # whoever reads the file's lines will say what is wrong with it
    lines = head.decode("utf-8", errors="replace").removeprefix("\ufeff").splitlines()[:_LINES]
    return next((lane for line in lines if (lane := _like(line, schema, options))), None)


def _like(line: str, schema: StructType, options: Mapping[str, str]) -> Lane | None:
    """The lane of lines that are like this one."""
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
    """The pattern of a column's values, written as this one; None where there is none."""
    if isinstance(value, _Raw):
        form = "number"
    elif isinstance(value, bool):
        form = "truth"
    elif isinstance(value, str):
        form = "text"
    else:
        return None
    if {strict.TIMESTAMP_FORMAT, strict.DATE_FORMAT} & options.keys() and isinstance(
        kind, (*_MOMENTS, DateType)
    ):
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
    # Not `$`: that also stands before a last sign that ends lines, such as U+2028.
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
