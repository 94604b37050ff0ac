"""The schema registry: versions that are only added to, and what differs between them."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from medallion_jobs.autoloader.schemas.registry import (
    Registry,
    Version,
    changes,
    columns_text,
    leaves,
    type_text,
)
from medallion_jobs.errors import MedallionError, Refused, TransientError


def struct(**fields: Any) -> dict[str, Any]:
    return {
        "type": "struct",
        "fields": [
            {"name": name, "type": kind, "nullable": True, "metadata": {}}
            for name, kind in fields.items()
        ],
    }


def array(element: Any) -> dict[str, Any]:
    return {"type": "array", "elementType": element, "containsNull": True}


def mapping(key: Any, value: Any) -> dict[str, Any]:
    return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}


ONE = struct(id="integer", name="string")
TWO = struct(id="long", name="string", added="date")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "schemas" / "sales")


def add(registry: Registry, *version: Any, **about: Any) -> Version:
    """Adds a version as a run does, but without a table."""
    return registry.record(registry.announce(*version, **about))


def names(registry: Registry) -> list[str]:
    return sorted(path.name for path in registry.folder.iterdir())


def test_a_table_that_never_ran_has_no_versions(registry: Registry) -> None:
    assert registry.latest() is None
    assert registry.history() == []
    assert not registry.folder.exists()


def test_versions_are_numbered_and_kept(registry: Registry) -> None:
    first = add(registry, ONE, "inferred")
    second = add(registry, TWO, "wider types", batch=7, generation=2, file="file:/in/a%20b.json")
    assert names(registry) == ["000001.json", "000002.json"]
    assert Registry(registry.folder).history() == [first, second]
    assert Registry(registry.folder).latest() == second
    assert (first.version, first.why, first.batch, first.file) == (1, "inferred", None, None)
    assert first.changes == ()
    assert (second.batch, second.generation, second.file) == (7, 2, "file:/in/a%20b.json")
    assert second.schema == TWO
    assert second.changes == ("id: int -> bigint", "+ added date")
    assert timedelta() <= datetime.now(timezone.utc) - second.at < timedelta(minutes=1)


def test_the_file_is_json_for_anyone(registry: Registry) -> None:
    add(registry, ONE, "declared")
    told = json.loads((registry.folder / "000001.json").read_text(encoding="utf-8"))
    assert told.pop("at").endswith("Z")
    assert told == {
        "version": 1,
        "why": "declared",
        "batch": None,
        "generation": None,
        "file": None,
        "schema": ONE,
        "changes": [],
    }


def test_the_same_schema_writes_nothing(registry: Registry) -> None:
    first = add(registry, ONE, "inferred")
    before = (registry.folder / "000001.json").stat().st_mtime_ns
    assert add(registry, ONE, "new columns", batch=3) == first
    assert names(registry) == ["000001.json"]
    assert (registry.folder / "000001.json").stat().st_mtime_ns == before


def test_back_to_an_older_schema_is_a_version_of_its_own(registry: Registry) -> None:
    for schema in (ONE, TWO, ONE):
        add(registry, schema, "declared")
    assert [one.schema for one in registry.history()] == [ONE, TWO, ONE]
    assert registry.history()[2].changes == ("id: bigint -> int", "- added date")


def test_the_tenth_comes_after_the_ninth(registry: Registry) -> None:
    for number in range(11):
        add(registry, struct(**{f"c{number}": "string"}), "declared")
    assert [one.version for one in registry.history()] == list(range(1, 12))
    latest = registry.latest()
    assert latest
    assert latest.schema == struct(c10="string")


def test_what_a_cut_off_write_left_is_no_version(registry: Registry) -> None:
    add(registry, ONE, "inferred")
    (registry.folder / ".000002.json.abc.tmp").write_text("{")
    (registry.folder / "notes.txt").write_text("mine")
    assert len(registry.history()) == 1
    assert add(registry, TWO, "wider types").version == 2


def test_a_write_that_fails_leaves_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(registry, ONE, "inferred")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        add(registry, TWO, "wider types")
    assert names(registry) == ["000001.json"]


def test_of_many_writers_one_has_each_number(registry: Registry) -> None:
    """Those that lose have either the winner's version or an error, never a file of theirs."""
    wanted = [struct(**{f"c{n % 4}": "string"}) for n in range(16)]

    def record(schema: dict[str, Any]) -> bool:
        try:
            return add(Registry(registry.folder), schema, "inferred").schema == schema
        except TransientError:
            return False

    with ThreadPoolExecutor(16) as pool:
        assert any(pool.map(record, wanted))
    kept = registry.history()
    assert names(registry) == [f"{one.version:06}.json" for one in kept]
    assert all(a.schema != b.schema for a, b in pairwise(kept))


def overtaken(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, theirs: dict[str, Any]
) -> Registry:
    """A registry whose next write finds that another writer was there first."""
    other = Registry(registry.folder)
    write = registry._write

    def late(new: Any) -> bool:
        add(other, theirs, "new columns", batch=9)
        return write(new)

    monkeypatch.setattr(registry, "_write", late)
    return registry


def test_who_is_overtaken_by_another_schema_is_told(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(registry, ONE, "inferred")
    theirs = struct(id="integer", name="string", other="string")
    with pytest.raises(TransientError) as told:
        add(overtaken(registry, monkeypatch, theirs), TWO, "wider types")
    assert "000002.json" in told.value.what
    assert [one.schema for one in Registry(registry.folder).history()] == [ONE, theirs]
    assert names(registry) == ["000001.json", "000002.json"]


def test_who_is_overtaken_by_the_same_schema_has_it(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(registry, ONE, "inferred")
    got = add(overtaken(registry, monkeypatch, TWO), TWO, "wider types")
    assert (got.version, got.batch) == (2, 9)


DAMAGE = {
    "cut off": lambda text: text[: len(text) // 2],
    "empty": lambda _: "",
    "a list": lambda _: "[]",
    "another number": lambda text: text.replace('"version": 2', '"version": 3'),
    "an unknown why": lambda text: text.replace("wider types", "boredom"),
    "no field": lambda text: text.replace('"fields"', '"felds"'),
    "a field without a name": lambda text: text.replace('"name": "added"', '"nom": "added"'),
    "a type that is a number": lambda text: text.replace('"type": "date"', '"type": 5'),
    "no struct": lambda text: text.replace('"type": "struct"', '"type": "array"'),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_version_is_refused_with_its_file(registry: Registry, how: str) -> None:
    add(registry, ONE, "inferred")
    add(registry, TWO, "wider types")
    file = registry.folder / "000002.json"
    text = file.read_text()
    file.write_text(DAMAGE[how](text))
    assert file.read_text() != text
    for read in (registry.latest, registry.history, lambda: add(registry, ONE, "declared")):
        with pytest.raises(Refused) as told:
            read()
        assert str(file) in told.value.what
        assert told.value.untouched
        assert f"mv {registry.folder} " in told.value.next_step
    assert names(registry) == ["000001.json", "000002.json"]


def test_a_version_that_is_gone_is_missed(registry: Registry) -> None:
    for schema in (ONE, TWO, ONE):
        add(registry, schema, "declared")
    (registry.folder / "000002.json").unlink()
    with pytest.raises(MedallionError, match=r"000002\.json"):
        registry.history()
    latest = registry.latest()
    assert latest
    assert latest.version == 3


NESTED = struct(
    customer=struct(name="string", address=struct(city="string")),
    items=array(struct(sku="string", n="integer")),
    tags=mapping("string", struct(v="integer")),
    codes=array("integer"),
)


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (struct(a="integer"), []),
        (struct(a="long"), ["a: int -> bigint"]),
        (struct(a="integer", b=array("string")), ["+ b array<string>"]),
        (struct(b="string"), ["+ b string", "- a int"]),
        (struct(a=struct(x="short")), ["a: int -> struct<x: smallint>"]),
        (struct(a="integer", **{"b.c d": "byte"}), ["+ `b.c d` tinyint"]),
    ],
)
def test_changes_of_columns(new: dict[str, Any], told: list[str]) -> None:
    assert changes(struct(a="integer"), new) == told


def test_changes_inside_columns() -> None:
    new = struct(
        customer=struct(name="string", address=struct(city="string", zip="string")),
        items=array(struct(sku="string", n="long", **{"unit.price": "decimal(10,2)"})),
        tags=mapping("integer", struct(note="string")),
        codes=array("long"),
    )
    assert changes(NESTED, new) == [
        "+ customer.address.zip string",
        "items.element.n: int -> bigint",
        "+ items.element.`unit.price` decimal(10,2)",
        "tags.key: string -> int",
        "+ tags.value.note string",
        "- tags.value.v int",
        "codes.element: int -> bigint",
    ]
    assert changes(NESTED, NESTED) == []
    assert changes(NESTED, struct(**{**dict.fromkeys("ab", "string")}))[2:] == [
        "- customer struct<name: string, address: struct<city: string>>",
        "- items array<struct<sku: string, n: int>>",
        "- tags map<string, struct<v: int>>",
        "- codes array<int>",
    ]


def test_no_difference_goes_untold() -> None:
    declared = struct(a="integer", b="string")
    declared["fields"][0]["nullable"] = False
    assert changes(declared, struct(a="integer", b="string")) == ["a: not null -> nullable"]
    assert changes(struct(a="integer", b="string"), declared) == ["a: nullable -> not null"]
    assert changes(struct(a="string", b="string"), struct(b="string", a="string")) == [
        "order of the columns, or their metadata"
    ]


def test_schemas_as_text() -> None:
    schema = struct(id="long", **{"größe": NESTED["fields"][1]["type"], "a`b": "timestamp_ntz"})
    schema["fields"][0]["nullable"] = False
    assert columns_text(schema) == [
        "id bigint not null",
        "`größe` array<struct<sku: string, n: int>>",
        "`a``b` timestamp_ntz",
    ]
    assert type_text(struct(a=struct(b="long")), always_quoted=True) == (
        "struct<`a`: struct<`b`: bigint>>"
    )
    assert list(leaves(NESTED)) == [
        ("customer.name", "string"),
        ("customer.address.city", "string"),
        ("items.element.sku", "string"),
        ("items.element.n", "int"),
        ("tags.key", "string"),
        ("tags.value.v", "int"),
        ("codes.element", "int"),
    ]


def test_a_version_counts_once_the_table_has_it(registry: Registry) -> None:
    """Between the two writes of a version, a crash: the table says whether it counts."""
    table = struct(**{**{f["name"]: f["type"] for f in ONE["fields"]}, "_input_file": "string"})
    wider = struct(**{**{f["name"]: f["type"] for f in TWO["fields"]}, "_input_file": "string"})
    first = add(registry, ONE, "inferred")
    for has, settled in ((None, [ONE]), (table, [ONE]), (wider, [ONE, TWO])):
        announced = registry.announce(TWO, "wider types", batch=7, file="file:/in/b.json")
        assert registry.latest() == first
        assert registry.settled(has) == (announced if has == wider else first)
        registry.settle(has)
        assert [one.schema for one in registry.history()] == settled
        assert names(registry)[-1] == f"00000{len(settled)}.json"
    newest = registry.latest()
    assert newest == announced
    # A crash after the version was added, before its note was removed.
    (registry.folder / "next.json").write_bytes((registry.folder / "000002.json").read_bytes())
    assert registry.settled(table) == newest
    registry.settle(table)
    assert names(registry) == ["000001.json", "000002.json"]
