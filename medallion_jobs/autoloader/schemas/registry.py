"""The schema registry: the numbered, append-only versions of a bronze table's schema.

One JSON file per version, `<storage.root>/_medallion/schemas/<table>/000001.json`. Schemas are
in the JSON form that Spark itself writes (`StructType.jsonValue()`), so that they can be shown
and compared without Spark.

A version is recorded after the table has its columns. Before the table is changed, the version is
noted in `next.json`; if the process dies in between, the next start settles by the table whether
it counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from medallion_jobs.errors import Refused, TransientError
from medallion_jobs.lake.tables.sql import INNER, JsonType, inner_types, quoted, type_text
from medallion_jobs.storage import Location, create, put

Why = Literal["declared", "inferred", "new columns", "wider types", "promoted"]

_FILE = re.compile(r"([0-9]{6,})\.json")


@dataclass(frozen=True)
class Version:
    """One version of a table's schema.

    Attributes:
        version: counted from 1.
        at: when it was recorded, in UTC.
        why: the cause of this version.
        batch: the batch that added it, in `generation`; None if it was added at a start.
        file: the first file that needed it, as a URI.
        schema: the columns of the files, in Spark's JSON form.
        changes: the differences from the version before, as text; empty for the first one.
    """

    version: int
    at: datetime
    why: Why
    batch: int | None
    generation: int | None
    file: str | None
    schema: dict[str, Any]
    changes: tuple[str, ...]


_AS_JSON = TypeAdapter(Version)
_NEXT = "next.json"


class Registry:
    """The versions of one bronze table's schema."""

    def __init__(self, folder: Location) -> None:
        self.folder = folder

    def latest(self) -> Version | None:
        """The newest version; None if the table never ran.

        Raises:
            Refused: it cannot be read.
        """
        newest = max(self._numbers(), default=0)
        return self._read(newest) if newest else None

    def history(self) -> list[Version]:
        """Every version, oldest first.

        Raises:
            Refused: a version cannot be read, or one in between is gone.
        """
        return [self._read(number) for number in range(1, max(self._numbers(), default=0) + 1)]

    def announce(
        self,
        schema: Mapping[str, Any],
        why: Why,
        *,
        batch: int | None = None,
        generation: int | None = None,
        file: str | None = None,
    ) -> Version:
        """Notes the next version, before the table gets its columns; `record` then adds it.

        Returns:
            The next version, or the newest one if that has this schema already.

        Raises:
            Refused: the newest version cannot be read.
        """
        before = self.latest()
        if before and before.schema == schema:
            return before
        new = Version(
            version=before.version + 1 if before else 1,
            at=datetime.now(timezone.utc),
            why=why,
            batch=batch,
            generation=generation,
            file=file,
            schema=dict(schema),
            changes=tuple(changes(before.schema, schema)) if before else (),
        )
        put(self.folder / _NEXT, _AS_JSON.dump_json(new, indent=2) + b"\n")
        return new

    def record(self, new: Version) -> Version:
        """Adds an announced version, if it is not there yet; returns the newest one.

        Raises:
            Refused: a version cannot be read.
            TransientError: another writer has recorded another schema meanwhile.
        """
        if new.version not in self._numbers() and self._write(new):
            recorded = new
        else:
            recorded = self._read(new.version)
        (self.folder / _NEXT).unlink(missing_ok=True)
        if recorded.schema == new.schema:
            return recorded
        raise TransientError(
            f"another writer has recorded {self._path(new.version)} meanwhile",
            code="schema_written_by_another",
            untouched="the recorded schemas; this one was not recorded",
            next_step="run the same command again; `medallion status` shows who else is running",
        )

    def settle(self, table: Mapping[str, Any] | None) -> None:
        """Records a version that a crash has left announced, if the table has its columns.

        Args:
            table: the columns of the table; None if there is no table.
        """
        new = self._announced()
        if new is not None and _has(table, new):
            self.record(new)
        (self.folder / _NEXT).unlink(missing_ok=True)

    def settled(self, table: Mapping[str, Any] | None) -> Version | None:
        """The newest version as `settle` would leave it. Writes nothing."""
        new = self._announced()
        return new if new is not None and _has(table, new) else self.latest()

    def _announced(self) -> Version | None:
        path = self.folder / _NEXT
        try:
            new = _AS_JSON.validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise self._damaged(f"{path} cannot be read: {error}") from error
        return None if new.version in self._numbers() else new

    def _write(self, new: Version) -> bool:
        """Writes a version's file atomically; False if it already exists."""
        try:
            create(self._path(new.version), _AS_JSON.dump_json(new, indent=2) + b"\n")
        except FileExistsError:
            return False
        return True

    def _read(self, number: int) -> Version:
        path = self._path(number)
        try:
            read = _AS_JSON.validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise self._damaged(f"{path} is missing, and later versions exist") from error
        except (OSError, ValidationError) as error:
            raise self._damaged(f"{path} cannot be read: {error}") from error
        if read.version != number:
            raise self._damaged(f"{path} has the content of version {read.version}")
        if not _is_type(read.schema) or read.schema["type"] != "struct":
            raise self._damaged(f"{path} has no valid Spark schema")
        return read

    def _damaged(self, what: str) -> Refused:
        return Refused(
            f"the schema registry is damaged: {what}",
            code="schema_registry_damaged",
            untouched="the registry and the table; nothing was started",
            next_step=f"restore the file from a backup, or start a new registry at the next run: "
            f"`mv {self.folder} {self.folder}.damaged`",
        )

    def _numbers(self) -> Iterator[int]:
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if name := _FILE.fullmatch(path.name):
                    yield int(name[1])

    def _path(self, number: int) -> Location:
        return self.folder / f"{number:06}.json"


def _has(table: Mapping[str, Any] | None, version: Version) -> bool:
    """Whether a table has all columns of a version, with their types."""
    return table is not None and set(leaves(version.schema)) <= set(leaves(table))


def _is_type(value: object) -> bool:
    """Whether a value is a type in Spark's JSON form, with all that is nested in it."""
    if not isinstance(value, Mapping):
        return isinstance(value, str)
    inner = [value.get(key) for key in INNER.get(str(value.get("type")), ("none",))]
    if value.get("type") != "struct":
        return all(map(_is_type, inner))
    return isinstance(inner[0], list) and all(map(_is_field, inner[0]))


def _is_field(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("nullable"), bool)
        and _is_type(value.get("type"))
    )


def columns_text(schema: Mapping[str, Any]) -> list[str]:
    """The columns of a schema as DDL: `id bigint`, `customer struct<name: string>`."""
    return [
        f"{quoted(field['name'])} {type_text(field['type'])}"
        + ("" if field["nullable"] else " not null")
        for field in schema["fields"]
    ]


def leaves(json_type: JsonType, path: str = "") -> Iterator[tuple[str, str]]:
    """The parts of a schema that hold values: each path, as hints have it, and its type."""
    inner = list(_parts(json_type, path))
    if not inner:
        yield path, type_text(json_type)
    for below, kind in inner:
        yield from leaves(kind, below)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The differences between two schemas, one line each.

    `+ customer.address.zip string`, `- quantity int`, `quantity: int -> bigint`.
    """
    found = list(_changes(old, new, ""))
    return found or (["order of the columns, or their metadata"] if old != new else [])


def _changes(old: JsonType, new: JsonType, path: str) -> Iterator[str]:
    was, now = dict(_parts(old, path)), dict(_parts(new, path))
    if _kind(old) != _kind(new) or not (was or now):
        if type_text(old) != type_text(new):
            yield f"{path}: {type_text(old)} -> {type_text(new)}"
        return
    nullable = _nullable(old, path)
    for below, kind in now.items():
        if below not in was:
            yield f"+ {below} {type_text(kind)}"
            continue
        yield from _changes(was[below], kind, below)
        if nullable.get(below) != (may := _nullable(new, path).get(below)):
            yield f"{below}: {'not null -> nullable' if may else 'nullable -> not null'}"
    yield from (f"- {below} {type_text(kind)}" for below, kind in was.items() if below not in now)


def _kind(json_type: JsonType) -> str:
    return "scalar" if isinstance(json_type, str) else str(json_type["type"])


def _parts(json_type: JsonType, path: str) -> Iterator[tuple[str, JsonType]]:
    """The direct parts of a type, each with its path; none for a scalar."""
    return ((_below(path, name), inner) for name, inner in inner_types(json_type))


def _nullable(json_type: JsonType, path: str) -> dict[str, bool]:
    if isinstance(json_type, str) or json_type["type"] != "struct":
        return {}
    return {_below(path, field["name"]): field["nullable"] for field in json_type["fields"]}


def _below(path: str, name: str) -> str:
    return f"{path}.{quoted(name)}" if path else quoted(name)
