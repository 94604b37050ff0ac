"""Schema hints: types that a user gives to columns, and to fields inside them.

`customer.address.zip int, items.element.price decimal(10,2), tags.key string`: DDL, except for
the paths. A part in backticks may have any character; `element` stands for the elements of an
array, `key` and `value` for the keys and values of a map. Where the files have an object, these
three are names of fields like any others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pyspark.errors import AnalysisException, ArithmeticException
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.schema import parse_ddl
from medallion_jobs.lake.tables.sql import namable, quoted, unquoted

Path: TypeAlias = tuple[str, ...]

# What these stand for depends on what they are in: an array, a map or an object.
_AMBIGUOUS = ("element", "key", "value")
_OPENS, _CLOSES, _QUOTES = "<(", ">)", "`'\""
_PART = r"(?:`(?:[^`]|``)+`|[^\s`.,:<>()]+)"
_HINT = re.compile(rf"({_PART}(?:\.{_PART})*)(?:\s*:\s*|\s+)(\S.*)", re.DOTALL)


@dataclass(frozen=True)
class Hint:
    """One hint, as users write it."""

    path: Path
    type_text: str

    def __str__(self) -> str:
        return f"{path_text(self.path)} {self.type_text}"


def path_text(path: Path) -> str:
    """A path as users write it."""
    return ".".join(quoted(part) for part in path)


def split(ddl: str) -> list[Hint]:
    """The hints of a text, their types still as text. Needs no JVM.

    Raises:
        UsageError: a hint without a path or without a type, or two of the same path.
    """
    hints = [_hint(text) for text in _at_top_level(ddl)]
    paths = [hint.path for hint in hints]
    for path in paths:
        if paths.count(path) > 1:
            raise _wrong(path_text(path), "this path has more than one hint")
    return hints


def named(text: str) -> tuple[Path, str | None]:
    """A path, and the type after a colon: `customer.zip:int`. Needs no JVM.

    Raises:
        UsageError: it is none.
    """
    if re.fullmatch(rf"{_PART}(?:\.{_PART})*", text):
        return tuple(map(unquoted, re.findall(_PART, text))), None
    hint = _HINT.fullmatch(text)
    if not hint:
        raise UsageError(
            f"{text or 'an empty text'} is no column with a type",
            code="invalid_column",
            untouched="nothing was read or written",
            next_step="write it as COLUMN, or as COLUMN:TYPE, such as 'customer.zip:int'",
        )
    return tuple(map(unquoted, re.findall(_PART, hint[1]))), hint[2].rstrip()


def types(hints: list[Hint]) -> dict[Path, DataType]:
    """The types of hints, by their paths. Needs a session.

    Raises:
        UsageError: a hint whose type Spark does not know, or with more than a type.
    """
    return {hint.path: _type(hint) for hint in hints}


def apply(schema: StructType, hints: Mapping[Path, DataType]) -> StructType:
    """The schema with the types of the hints. Columns and fields that it lacks are added.

    A hint for a whole struct, array or map replaces it. If the schema has nothing at a path, a
    struct is made. A hint with `element`, `key` or `value` in something that the schema lacks
    waits: only the files show whether that is an array, a map or an object.

    Raises:
        UsageError: a hint whose path leads into a type without parts, or whose name differs
            from an existing one only by letter case, or cannot be a column's name.
    """
    # Shorter paths first: `a struct<x: int>, a.y int` is then the same in any order.
    waiting = sorted(hints, key=len)
    while ready := [path for path in waiting if not _waits(schema, path)]:
        for path in ready:
            schema = _with_field(schema, path, path, hints[path])
        # With `a.b int`, there is an object for `a.value int`.
        waiting = [path for path in waiting if path not in ready]
    return schema


def _waits(kind: DataType | None, path: Path) -> bool:
    """Whether it is unknown what a part of a path stands for: it is in something not there yet."""
    if kind is None:
        return any(part in _AMBIGUOUS for part in path)
    inner: DataType | None = None
    if not path or not isinstance(kind, StructType | ArrayType | MapType):
        return False
    if isinstance(kind, StructType):
        inner = kind[path[0]].dataType if path[0] in kind.names else None
    elif isinstance(kind, ArrayType):
        inner = kind.elementType
    else:
        inner = kind.keyType if path[0] == "key" else kind.valueType
    return _waits(inner, path[1:])


def _with(kind: DataType | None, rest: Path, path: Path, wanted: DataType) -> DataType:
    """A type (None if there is none yet) with the wanted type at the rest of a path."""
    if not rest:
        return wanted
    part, below = rest[0], rest[1:]
    if kind is None or isinstance(kind, StructType):
        return _with_field(kind or StructType(), rest, path, wanted)
    if isinstance(kind, ArrayType) and part == "element":
        return ArrayType(_with(kind.elementType, below, path, wanted), kind.containsNull)
    if isinstance(kind, MapType) and part == "key":
        key = _with(kind.keyType, below, path, wanted)
        return MapType(key, kind.valueType, kind.valueContainsNull)
    if isinstance(kind, MapType) and part == "value":
        value = _with(kind.valueType, below, path, wanted)
        return MapType(kind.keyType, value, kind.valueContainsNull)
    above = path[: len(path) - len(rest)]
    why = f"{path_text(above)} is {kind.simpleString()}, which has no {quoted(part)} in it"
    if isinstance(kind, ArrayType):
        why += f"; its elements are {path_text((*above, 'element'))}"
    if isinstance(kind, MapType):
        why += f"; its values are {path_text((*above, 'value'))}"
    raise _contradicts(path, wanted, why)


def _with_field(struct: StructType, rest: Path, path: Path, wanted: DataType) -> StructType:
    name, below = rest[0], rest[1:]
    if name in struct.names:
        return StructType(
            [
                StructField(
                    field.name,
                    _with(field.dataType, below, path, wanted),
                    field.nullable,
                    field.metadata,
                )
                if field.name == name
                else field
                for field in struct
            ]
        )
    alike = [other for other in struct.names if other.lower() == name.lower()]
    if alike:
        raise _contradicts(path, wanted, f"there is {quoted(alike[0])}, of another letter case")
    if not namable(name):
        raise _contradicts(path, wanted, f"a table can have no column {quoted(name)}")
    return StructType([*struct.fields, StructField(name, _with(None, below, path, wanted))])


def _contradicts(path: Path, wanted: DataType, why: str) -> UsageError:
    return _wrong(f"{path_text(path)} {wanted.simpleString()}", why)


def _wrong(hint: str, why: str) -> UsageError:
    return UsageError(
        f"schema_hints: {hint}: {why}",
        code="invalid_schema_hint",
        untouched="nothing was read or written",
        next_step="fix `schema_hints` of the table's source in the config",
    )


def _at_top_level(ddl: str) -> Iterator[str]:
    """The text between commas that are neither quoted nor inside <> or ()."""
    depth, quote, begin = 0, "", 0
    for place, char in enumerate(ddl):
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES:
            quote = char
        elif char in _OPENS or char in _CLOSES:
            depth += 1 if char in _OPENS else -1
        elif char == "," and depth == 0:
            yield ddl[begin:place].strip()
            begin = place + 1
    yield ddl[begin:].strip()


def _hint(text: str) -> Hint:
    found = _HINT.fullmatch(text)
    if not found:
        raise _wrong(text or "an empty hint", "a hint is a path and a type")
    parts = re.findall(_PART, found[1])
    return Hint(tuple(map(unquoted, parts)), found[2].rstrip())


def _type(hint: Hint) -> DataType:
    try:
        fields = parse_ddl(f"hint {hint.type_text}").fields
    except (AnalysisException, ArithmeticException) as error:
        raise _wrong(str(hint), "Spark knows no such type") from error
    if len(fields) != 1 or not fields[0].nullable or fields[0].metadata:
        raise _wrong(str(hint), "a hint has a type and nothing else")
    return fields[0].dataType
