"""Writes avro files by the Avro specification, with what no library would write, too."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

_SYNC = b"medallion's test"


def avro_file(schema: Any, rows: Sequence[Any], *, codec: str = "null") -> bytes:
    """A file of these rows.

    Args:
        rows: values of the types below the logical ones: numbers, bytes, `str` or `bytes` for
            texts; in a union, a pair of the branch's place and its value.
    """
    entries = {"avro.schema": json.dumps(schema).encode(), "avro.codec": codec.encode()}
    head = b"".join(_bytes(key.encode()) + _bytes(value) for key, value in entries.items())
    block = b"".join(_value(schema, row, {}) for row in rows)
    return b"".join(
        (b"Obj\x01", _long(len(entries)), head, b"\x00", _SYNC)
        + (_long(len(rows)), _bytes(block), _SYNC) * bool(rows)
    )


def record(name: str = "Row", /, **fields: Any) -> dict[str, Any]:
    """A record's schema: the type of each field."""
    typed = [{"name": field, "type": kind} for field, kind in fields.items()]
    return {"type": "record", "name": name, "fields": typed}


def logical(kind: str, name: str, /, **more: Any) -> dict[str, Any]:
    """The schema of a logical type."""
    return {"type": kind, "logicalType": name, **more}


def _value(schema: Any, value: Any, named: dict[str, Any]) -> bytes:
    if isinstance(schema, list):
        place, inner = value
        return _long(place) + _value(schema[place], inner, named)
    if isinstance(schema, str):
        schema = named.get(schema, {"type": schema})
    if "name" in schema:
        named[schema["name"]] = schema
    kind = schema["type"]
    if kind in _PLAIN:
        return _PLAIN[kind](value)
    if kind == "array":
        return _blocks([_value(schema["items"], one, named) for one in value])
    if kind == "map":
        values = schema["values"]
        return _blocks([_text(key) + _value(values, one, named) for key, one in value])
    if kind == "record":
        fields = schema["fields"]
        return b"".join(_value(field["type"], value[field["name"]], named) for field in fields)
    return _value(kind, value, named)


def _blocks(items: Sequence[bytes]) -> bytes:
    return (_long(len(items)) + b"".join(items)) * bool(items) + b"\x00"


def _long(number: int) -> bytes:
    zigzag = (number << 1) ^ (number >> 63)
    made = bytearray()
    while zigzag > 0x7F:
        made.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*made, zigzag])


def _bytes(content: bytes) -> bytes:
    return _long(len(content)) + content


def _text(content: str | bytes) -> bytes:
    return _bytes(content.encode() if isinstance(content, str) else content)


_PLAIN: dict[str, Callable[[Any], bytes]] = {
    "null": lambda _: b"",
    "boolean": lambda value: bytes([value]),
    "int": _long,
    "long": _long,
    "enum": _long,
    "float": lambda value: struct.pack("<f", value),
    "double": lambda value: struct.pack("<d", value),
    "bytes": _bytes,
    "string": _text,
    "fixed": bytes,
}
