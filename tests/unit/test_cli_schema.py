"""`medallion schema`: the registry as commands show it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lakes import BRONZE, Answer, Lake, Medallion

from medallion_jobs.autoloader.schemas.registry import Registry


def struct(**fields: Any) -> dict[str, Any]:
    return {
        "type": "struct",
        "fields": [
            {"name": name, "type": kind, "nullable": True, "metadata": {}}
            for name, kind in fields.items()
        ],
    }


SCHEMAS = (
    struct(id="integer"),
    struct(id="integer", customer=struct(name="string")),
    struct(id="long", customer=struct(name="string", **{"zip code": "string"})),
)
FILE = "file:/in/b.json"


@pytest.fixture
def registry(lake: Lake) -> Registry:
    made = Registry(lake.paths(BRONZE).schemas)
    made.record(made.announce(SCHEMAS[0], "inferred"))
    made.record(made.announce(SCHEMAS[1], "new columns", batch=4, generation=1, file=FILE))
    made.record(made.announce(SCHEMAS[2], "wider types", batch=5, generation=1, file=FILE))
    return made


def lines(answer: Answer) -> list[str]:
    assert answer.code == 0
    return answer.out.splitlines()


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("table", [(), ("sales",), ("bronze.sales",)])
def test_show_prints_ddl(medallion: Medallion, table: tuple[str, ...]) -> None:
    answer = medallion("schema", "show", *table)
    assert lines(answer) == [
        "id bigint,",
        "customer struct<name: string, `zip code`: string>",
    ]
    assert answer.err.startswith("bronze.sales, version 3: wider types, 20")


@pytest.mark.usefixtures("registry")
def test_show_another_version_and_other_forms(medallion: Medallion) -> None:
    assert lines(medallion("schema", "show", "--version", "1")) == ["id int"]
    answer = medallion("schema", "show", "sales", "--version", "2", "--format", "json")
    assert json.loads(answer.out) == SCHEMAS[1]
    table = lines(medallion("schema", "show", "--format", "table"))
    assert [line.split() for line in table[2:]] == [
        ["id", "bigint"],
        ["customer.name", "string"],
        ["customer.`zip", "code`", "string"],
    ]


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("words", "between", "told"),
    [
        ((), (2, 3), ["id: int -> bigint", "+ customer.`zip code` string"]),
        (("sales", "1", "2"), (1, 2), ["+ customer struct<name: string>"]),
        (("1", "2"), (1, 2), ["+ customer struct<name: string>"]),
        (("bronze.sales", "2"), (2, 3), ["id: int -> bigint", "+ customer.`zip code` string"]),
        (("2", "1"), (2, 1), ["- customer struct<name: string>"]),
        (("3",), (3, 3), []),
    ],
)
def test_diff(
    medallion: Medallion, words: tuple[str, ...], between: tuple[int, int], told: list[str]
) -> None:
    answer = medallion("schema", "diff", *words)
    assert lines(answer) == told
    assert f"version {between[0]} to {between[1]}" in answer.err
    assert ("no change" in answer.err) == (not told)
    as_json = json.loads(medallion("schema", "diff", *words, "--json").out)
    assert as_json == {"from": between[0], "to": between[1], "changes": told}


def test_diff_of_the_only_version(lake: Lake, medallion: Medallion) -> None:
    registry = Registry(lake.paths(BRONZE).schemas)
    registry.record(registry.announce(SCHEMAS[0], "declared"))
    answer = medallion("schema", "diff")
    assert lines(answer) == []
    assert "version 1 to 1\nno change" in answer.err


@pytest.mark.usefixtures("registry")
def test_history(medallion: Medallion) -> None:
    told = json.loads(medallion("schema", "history", "--json").out)
    assert [one.pop("at")[:2] for one in told] == ["20"] * 3
    assert told[0] == {
        "version": 1,
        "why": "inferred",
        "columns": 1,
        "generation": None,
        "batch": None,
        "file": None,
        "changes": [],
    }
    assert (told[2]["batch"], told[2]["file"], told[2]["why"]) == (5, FILE, "wider types")
    assert told[2]["changes"] == ["id: int -> bigint", "+ customer.`zip code` string"]
    table = lines(medallion("schema", "history", "sales"))
    assert table[0].split() == ["version", "at", *list(told[0])[1:]]
    assert len(table) == 2 + 3
    assert "id: int -> bigint; + customer.`zip code` string" in table[4]


@pytest.mark.parametrize("words", [("show",), ("diff",), ("history",)])
def test_a_table_that_has_not_run_is_2(
    lake: Lake, medallion: Medallion, words: tuple[str, ...]
) -> None:
    answer = medallion("schema", *words, "sales")
    assert (answer.code, answer.out) == (2, "")
    assert "bronze.sales has not run" in answer.err
    assert str(lake.paths(BRONZE).schemas) in answer.err
    assert list(lake.root.iterdir()) == []


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("table", ["sale", "silver.sales", "bronze.", "bronze.bronze.sales", ""])
def test_an_unknown_table_is_2_with_the_known_ones(medallion: Medallion, table: str) -> None:
    answer = medallion("schema", "show", table)
    assert (answer.code, answer.out) == (2, "")
    assert f"no bronze table {table}" in answer.err
    assert "one of: bronze.sales" in answer.err


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    "words",
    [
        ("show", "--version", "4"),
        ("show", "--version", "0"),
        ("diff", "4"),
        ("diff", "sales", "1", "4"),
        ("diff", "0", "2"),
    ],
)
def test_an_unknown_version_is_2_with_the_known_ones(
    medallion: Medallion, words: tuple[str, ...]
) -> None:
    answer = medallion("schema", *words)
    assert (answer.code, answer.out) == (2, "")
    assert "it has versions 1 to 3" in answer.err


@pytest.mark.usefixtures("registry")
def test_too_many_versions_are_2(medallion: Medallion) -> None:
    answer = medallion("schema", "diff", "1", "2", "3")
    assert (answer.code, answer.out) == (2, "")
    assert "diff 1 2 3" in answer.err


def test_of_several_tables_one_has_to_be_named(
    medallion: Medallion, registry: Registry, tmp_path: Path
) -> None:
    second = "bronze.clicks.source={format: json, schema: id bigint}"
    answer = medallion("schema", "show", "--set", second)
    assert (answer.code, answer.out) == (2, "")
    assert "2 bronze tables" in answer.err
    assert "bronze.sales, bronze.clicks" in answer.err
    assert medallion("schema", "show", "sales", "--set", second).code == 0
    assert medallion("schema", "show", "clicks", "--set", second).code == 2


def test_a_damaged_registry_is_1(medallion: Medallion, registry: Registry) -> None:
    file = registry.folder / "000002.json"
    file.write_text("{")
    for command in ("show", "diff", "history"):
        answer = medallion("schema", command)
        assert (answer.code, answer.out) == (1, "")
        assert str(file) in answer.err
        assert "Traceback" not in answer.err
