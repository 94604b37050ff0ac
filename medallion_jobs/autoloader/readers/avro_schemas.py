"""Reads the schemas of avro files, in which some types are none of Spark's.

Spark takes a column of an unknown logical type for a number or for bytes, and drops what the
value means. It is given a schema without such types, and what they mean is kept beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medallion_jobs.autoloader.readers.file_schemas import BrokenHeadError
from medallion_jobs.autoloader.readers.foreign_types import (
    Foreign,
    Interval,
    LongDecimal,
    Nanoseconds,
    TimeOfDay,
    Uuid,
)

_PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_MAX_PRECISION = 38
# Spark takes two numbers in a union for one column of the wider type.
_ONE_NUMBER = ({"int", "long"}, {"float", "double"})


@dataclass(frozen=True)
class AvroSchema:
    """A file's schema.

    Attributes:
        reader: what to give Spark's reader in its place; None if the schema does as it is.
        leaves: one for each innermost type that Spark makes of it, from first to last; None if
            it is Spark's own.
    """

    reader: str | None
    leaves: Sequence[Foreign | None]


def of(text: str, *, truncate: bool) -> AvroSchema:
    """Reads a schema.

    Args:
        text: as it is in the file's header.
        truncate: whether digits below the microsecond are cut off.

    Raises:
        BrokenHeadError: it is not one of records, it is recursive, or no valid schema.
    """
    try:
        written = json.loads(text)
        record = _the_record(written)
        walk = _Walk(truncate)
        plain = walk.plain(record, "")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise BrokenHeadError("the schema in its avro header is not valid") from None
    given = None if record is written and not any(walk.leaves) else json.dumps(plain)
    return AvroSchema(given, walk.leaves)


def _the_record(written: Any) -> Any:
    """The record that every row is, also if rows may be null."""
    branches = written if isinstance(written, list) else [written]
    records = [one for one in branches if isinstance(one, dict) and one.get("type") == "record"]
    if not records:
        kinds = " and ".join(str(_name_of(one)) for one in branches)
        of = f"a union of {kinds}" if isinstance(written, list) else kinds
        raise BrokenHeadError(
            f"its avro schema is {of}, which has no columns; write each row as a record"
        )
    if len(records) > 1:
        names = ", ".join(str(one.get("name")) for one in records)
        raise BrokenHeadError(
            f"its avro schema is a union of several records ({names}); write each record to files "
            "of its own"
        )
    return records[0]


def _name_of(node: Any) -> Any:
    return node["type"] if isinstance(node, dict) else node


@dataclass
class _Walk:
    """Walks over a schema, from the first field to the last.

    Attributes:
        truncate: whether digits below the microsecond are cut off.
        leaves: those found so far.
    """

    truncate: bool
    leaves: list[Foreign | None] = field(default_factory=list)
    # By full name, the named types so far, each with the namespace it is in, and those around.
    _named: dict[str, tuple[Mapping[str, Any], str]] = field(default_factory=dict)
    _around: list[str] = field(default_factory=list)

    def plain(self, node: Any, namespace: str) -> Any:
        """A part of the schema without foreign types; what it is made of is added to `leaves`.

        Args:
            namespace: the one around it.
        """
        if isinstance(node, list):
            return self._union(node, namespace)
        if isinstance(node, str):
            return self._reference(node, namespace)
        match node["type"]:
            case "record":
                return self._record(node, namespace)
            case "array":
                return {**node, "items": self.plain(node["items"], namespace)}
            case "map":
                self.leaves.append(None)  # its keys are strings
                return {**node, "values": self.plain(node["values"], namespace)}
        return self._leaf(node, namespace)

    def _leaf(self, node: Mapping[str, Any], namespace: str) -> Any:
        if node["type"] not in (*_PRIMITIVES, "fixed", "enum"):
            return self.plain(node["type"], namespace)
        if "name" in node:
            self._name(node, namespace)
        foreign = self._foreign(node)
        self.leaves.append(foreign)
        return {k: v for k, v in node.items() if foreign is None or k != "logicalType"}

    def _union(self, branches: list[Any], namespace: str) -> list[Any]:
        kinds = [_name_of(one) for one in branches if _name_of(one) != "null"]
        if len(kinds) == 2 and set(kinds) in _ONE_NUMBER:  # noqa: PLR2004
            self.leaves.append(None)
            return branches
        return [one if one == "null" else self.plain(one, namespace) for one in branches]

    def _record(self, node: Mapping[str, Any], namespace: str) -> dict[str, Any]:
        full = self._name(node, namespace)
        self._around.append(full)
        inside = full.rpartition(".")[0]
        fields = [{**one, "type": self.plain(one["type"], inside)} for one in node["fields"]]
        self._around.pop()
        return {**node, "fields": fields}

    def _reference(self, name: str, namespace: str) -> str:
        if name in _PRIMITIVES:
            self.leaves.append(None)
            return name
        full = _full(name, namespace)
        if full in self._around:
            raise BrokenHeadError(
                f"its avro schema is recursive: the record {name} is inside itself, to any depth, "
                "which no table has a column for; write the inner records as rows, or as JSON text"
            )
        node, around = self._named[full]
        self.plain(node, around)  # once more, for its leaves
        return name

    def _name(self, node: Mapping[str, Any], namespace: str) -> str:
        """Notes a named type; returns its full name."""
        full = _full(node["name"], node.get("namespace", namespace))
        self._named[full] = node, namespace
        return full

    def _foreign(self, node: Mapping[str, Any]) -> Foreign | None:
        found: Foreign | None = None
        match node["type"], node.get("logicalType"), node.get("size"):
            case "int", "time-millis", _:
                found = TimeOfDay(3)
            case "long", "time-micros", _:
                found = TimeOfDay(6)
            case "long", ("timestamp-nanos" | "local-timestamp-nanos") as name, _:
                found = Nanoseconds(utc=name == "timestamp-nanos", truncate=self.truncate)
            case "fixed", "uuid", 16:
                found = Uuid()
            case "fixed", "duration", 12:
                found = Interval()
            case "bytes" | "fixed", "decimal", _ if node["precision"] > _MAX_PRECISION:
                found = LongDecimal(node.get("scale", 0))
        return found


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"
