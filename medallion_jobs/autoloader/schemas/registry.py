"""The schemas that a bronze table has had: numbered versions, only ever added to.

One JSON file a version, `<storage.root>/_medallion/schemas/<table>/000001.json`. Schemas are
in the JSON form that Spark itself writes (`StructType.jsonValue()`), so that they are shown
and compared without Spark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from medallion_jobs.errors import Refused, TransientError
from medallion_jobs.lake.tables.sql import INNER, JsonType, quoted, type_text
from medallion_jobs.storage import Location, create

Why = Literal["declared", "inferred", "new columns", "wider types"]

_FILE = re.compile(r"([0-9]{6,})\.json")


@dataclass(frozen=True)
class Version:
    """One version of a table's schema.

    Attributes:
        version: counted from 1.
        at: when it was recorded, in UTC.
        why: what brought it.
        batch: the batch that brought it, of which `generation`; None for the first start.
        file: the first file that brought it, as a URI.
        schema: the columns of the files, in Spark's JSON form.
        changes: what differs from the version before, in words; of the first one, nothing.
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


class Registry:
    """The versions of one bronze table's schema."""

    def __init__(self, folder: Location) -> None:
        self.folder = folder

    def latest(self) -> Version | None:
        """The newest version; None when the table never ran.

        Raises:
            Refused: a version is there that cannot be read.
        """
        newest = max(self._numbers(), default=0)
        return self._read(newest) if newest else None

    def history(self) -> list[Version]:
        """Every version, oldest first.

        Raises:
            Refused: a version cannot be read, or one in between is gone.
        """
        return [self._read(number) for number in range(1, max(self._numbers(), default=0) + 1)]

    def record(
        self,
        schema: Mapping[str, Any],
        why: Why,
        *,
        batch: int | None = None,
        generation: int | None = None,
        file: str | None = None,
    ) -> Version:
        """Adds a version; the newest one where that has this schema already.

        Raises:
            Refused: a version is there that cannot be read.
            TransientError: another writer has recorded another schema meanwhile.
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
        if self._write(new):
            return new
        there = self._read(new.version)
        if there.schema == schema:
            return there
        raise TransientError(
            f"another writer has recorded {self._path(new.version)} meanwhile",
            untouched="the schemas that were there; this one was not recorded",
            next_step="the same command again; `medallion status` tells who else runs",
        )

    def _write(self, new: Version) -> bool:
        """Makes a version's file, whole or not at all; False when there is one."""
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
            raise self._damaged(f"there is no {path}, and there are later ones") from error
        except (OSError, ValidationError) as error:
            raise self._damaged(f"{path} cannot be read: {error}") from error
        if read.version != number:
            raise self._damaged(f"{path} says that it is version {read.version}")
        if not _is_type(read.schema) or read.schema["type"] != "struct":
            raise self._damaged(f"{path} holds no schema of Spark's")
        return read

    def _damaged(self, what: str) -> Refused:
        return Refused(
            f"the schema registry is damaged: {what}",
            untouched="the registry and the table; nothing was started",
            next_step=f"put the file back from a copy, or begin a new registry at the next run: "
            f"`mv {self.folder} {self.folder}.damaged`",
        )

    def _numbers(self) -> Iterator[int]:
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if name := _FILE.fullmatch(path.name):
                    yield int(name[1])

    def _path(self, number: int) -> Location:
        return self.folder / f"{number:06}.json"


def _is_type(one: object) -> bool:
    """Whether this is a type in Spark's JSON form, through and through."""
    if not isinstance(one, Mapping):
        return isinstance(one, str)
    inner = [one.get(key) for key in INNER.get(str(one.get("type")), ("none",))]
    if one.get("type") != "struct":
        return all(map(_is_type, inner))
    return isinstance(inner[0], list) and all(map(_is_field, inner[0]))


def _is_field(one: object) -> bool:
    return (
        isinstance(one, Mapping)
        and isinstance(one.get("name"), str)
        and isinstance(one.get("nullable"), bool)
        and _is_type(one.get("type"))
    )


def columns_text(schema: Mapping[str, Any]) -> list[str]:
    """The columns of a schema as DDL: `id bigint`, `customer struct<name: string>`."""
    return [
        f"{quoted(field['name'])} {type_text(field['type'])}"
        + ("" if field["nullable"] else " not null")
        for field in schema["fields"]
    ]


def leaves(json_type: JsonType, path: str = "") -> Iterator[tuple[str, str]]:
    """Everything in a schema that holds a value: by the path that a hint takes, its type."""
    inner = list(_parts(json_type, path))
    if not inner:
        yield path, type_text(json_type)
    for below, kind in inner:
        yield from leaves(kind, below)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two schemas, a line each.

    `+ customer.address.zip string`, `- quantity int`, `quantity: int -> bigint`.
    """
    told = list(_changes(old, new, ""))
    return told or (["order of the columns, or their metadata"] if old != new else [])


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
    """What a type is made of, by the path to it; nothing of a scalar."""
    kind = _kind(json_type)
    if isinstance(json_type, str):
        return
    if kind == "struct":
        for field in json_type["fields"]:
            yield _below(path, field["name"]), field["type"]
    else:
        for key in INNER[kind]:
            yield f"{path}.{key.removesuffix('Type')}", json_type[key]


def _nullable(json_type: JsonType, path: str) -> dict[str, bool]:
    if isinstance(json_type, str) or json_type["type"] != "struct":
        return {}
    return {_below(path, field["name"]): field["nullable"] for field in json_type["fields"]}


def _below(path: str, name: str) -> str:
    return f"{path}.{quoted(name)}" if path else quoted(name)
