"""A run over a table that stays empty, or nearly so, does not end without a word."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from support.own import OwnLake

from medallion_jobs.errors import DataError
from medallion_jobs.observe.events import Warned

# Nothing of the schema fits the files but their names, or not even these.
BRONZE = {
    "sales": "device string, store_id bigint, price double",
    "others": "user_id string, amount double",
    "broken": "id bigint",
}
SILVER = {
    "sales": "{from: bronze.sales, expect: "
    "{complete: {not_null: [device, store_id], otherwise: quarantine}}}",
    "users": "{from: bronze.others, expect: {known: {not_null: user_id, otherwise: drop}}}",
    "filtered": "{from: bronze.others, where: _input_file = 'none'}",
}
SALES = [{"device": f"d{n}", "store_id": f"store_00{n}", "price": 1.5} for n in range(1, 5)]
OTHERS = [{"userId": f"u{n}", "total": n} for n in range(5)]


def config_of(bronze: Iterable[str], silver: Iterable[str]) -> str:
    schemas = {name: f'{{format: json, schema: "{BRONZE[name]}"}}' for name in bronze}
    sources = "".join(f"  {name}: {{source: {source}}}\n" for name, source in schemas.items())
    tables = "".join(f"  {name}: {SILVER[name]}\n" for name in silver)
    return f"pipeline: shop\nbronze:\n{sources}" + (f"silver:\n{tables}" if tables else "")


def lake_of(folder: Path, config: str, *settings: str) -> OwnLake:
    lake = OwnLake.of(folder, config, *settings)
    lake.land("sales", "s.json", *SALES)
    lake.land("others", "o.json", *OTHERS)
    lake.drop_bytes("../broken/b.json", b"id\n1\n2\n")
    return lake


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, spark: object) -> tuple[OwnLake, dict[str, Any]]:
    lake = lake_of(tmp_path_factory.mktemp("aside"), config_of(BRONZE, SILVER))
    events = lake.run()
    warned = {event.table: event for event in events if isinstance(event, Warned)}
    # They are the last that a run says.
    assert list(warned.values()) == events[-len(warned) :]
    return lake, warned


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            "bronze.sales",
            (
                "rescued",
                4,
                "schema",
                'store_id: "store_001" does not fit bigint',
                'store_id is bigint, the files have text such as "store_001": declare it as string',
            ),
        ),
        (
            "bronze.others",
            (
                "rescued",
                5,
                "schema",
                '"userId":"u',
                "no row has a value for user_id, amount, and the files have total, userId",
            ),
        ),
        (
            "bronze.broken",
            (
                "quarantined",
                3,
                "the reader",
                "JSON",
                "check `format`",
            ),
        ),
        (
            "silver.sales",
            (
                "quarantined",
                4,
                "complete",
                'complete: store_id is null; store_id: "store_001" does not fit bigint',
                'store_id is bigint, the files have text such as "store_001": declare it as string',
            ),
        ),
        (
            "silver.users",
            (
                "dropped",
                5,
                "known",
                "known: user_id is null",
                "the files have no user_id, but these undeclared keys: userId, total",
            ),
        ),
        (
            "silver.filtered",
            (
                "filtered",
                5,
                "where",
                "{",
                "`where: _input_file = 'none'` is not true of these rows",
            ),
        ),
    ],
)
def test_each_way_of_losing_all_rows_is_told(
    table: str, says: tuple[str, int, str, str, str], ran: tuple[OwnLake, dict[str, Any]]
) -> None:
    how, rows, rule, example, cause = says
    aside = ran[1][table].set_aside
    assert (aside.how, aside.rows, aside.aside, aside.rule) == (how, rows, rows, rule)
    assert example in aside.example
    assert cause in aside.cause


def test_status_tells_it_as_well(ran: tuple[OwnLake, dict[str, Any]]) -> None:
    lake, warned = ran
    told = {row["table"]: row["warning"] for row in json.loads(lake.cli("status", "--json"))}
    assert {table for table, warning in told.items() if warning} == set(warned)
    assert told["silver.users"] == warned["silver.users"].set_aside.text
    assert "warning: silver.users: batch 0: 5 of 5 rows (100%) are dropped by known" in lake.cli(
        "status"
    )


def test_a_later_batch_that_is_right_ends_the_warning(
    ran: tuple[OwnLake, dict[str, Any]], tmp_path: Path
) -> None:
    lake = ran[0].copy(tmp_path)
    lake.land("others", "p.json", {"user_id": "u1", "amount": 1.5}, OTHERS[0])
    warned = {event.table for event in lake.run() if isinstance(event, Warned)}
    assert warned == {"silver.filtered"}
    told = {row["table"]: row["warning"] for row in json.loads(lake.cli("status", "--json"))}
    assert told["silver.users"] is None


@pytest.mark.slow
def test_bad_lines_that_an_earlier_generation_quarantined(
    ran: tuple[OwnLake, dict[str, Any]], tmp_path: Path
) -> None:
    """To say what a batch lacks never stops it."""
    lake = ran[0].copy(tmp_path)
    lake.reset("bronze.broken")
    warned = {event.table: event for event in lake.run("bronze") if isinstance(event, Warned)}
    assert warned["bronze.broken"].set_aside.aside == 3
    # The file has no rows in bronze, so it was read again; its older lines are superseded.
    assert len(lake.rows("quarantine/bronze/broken")) == 6
    counted = json.loads(lake.cli("quarantine", "list", "bronze.broken", "--json"))
    assert [sum(row[state] for row in counted) for state in ("open", "superseded")] == [3, 3]


@pytest.mark.parametrize(
    "table",
    [
        "silver.users",
        *(pytest.param(f"bronze.{name}", marks=pytest.mark.slow) for name in ("sales", "broken")),
    ],
)
def test_it_can_be_an_error(table: str, tmp_path: Path, spark: object) -> None:
    layer, _, name = table.partition(".")
    config = config_of([name], []) if layer == "bronze" else config_of(["others"], [name])
    lake = lake_of(tmp_path, config, f"{layer}.{name}.on_all_aside=fail")
    with pytest.raises(DataError) as told:
        lake.run()
    assert table in told.value.what
    assert "likely cause" in told.value.what
    assert lake.rows(table) == []
    # Once it lets it pass, the same rows are read.
    lake.having(f"{layer}.{name}.on_all_aside=warn").run(layer)
    batch = json.loads(lake.cli("status", "--json"))
    assert {row["table"]: row["batch"] for row in batch}[table] == 0
