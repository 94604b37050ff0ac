"""`medallion checkpoint`: list, show and reset, on a lake that ran once."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from lakes import BRONZE, GOLD, SILVER, Lake, Medallion

from medallion_jobs.checkpoint import Lock, manifest
from medallion_jobs.config import TableRef

pytestmark = pytest.mark.usefixtures("ran")


def generation(lake: Lake, ref: TableRef) -> int:
    told = manifest.read(lake.home(ref))
    return told.current.number if told else 0


def generations(lake: Lake) -> list[int]:
    return [generation(lake, ref) for ref in (BRONZE, SILVER, GOLD)]


def test_list_as_json_has_a_row_for_each_generation(lake: Lake, medallion: Medallion) -> None:
    lake.reset(GOLD)
    answer = medallion("checkpoint", "list", "--json")
    assert (answer.code, answer.err) == (0, "")
    rows = json.loads(answer.out)
    assert [(row["table"], row["generation"], row["current"]) for row in rows] == [
        (str(BRONZE), "v1", True),
        (str(SILVER), "v1", True),
        (str(GOLD), "v1", False),
        (str(GOLD), "v2", True),
    ]
    assert [row["batches"] for row in rows] == [1, 1, 1, 0]
    assert [row["reason"] for row in rows[2:]] == ["first start", "a test"]
    assert [row["reads"] for row in rows[2:]] == [str(SILVER), None]


def test_list_as_a_table_and_before_any_run(lake: Lake, medallion: Medallion) -> None:
    assert len(medallion("checkpoint", "list").out.splitlines()) == 2 + 3
    shutil.rmtree(lake.root / "lake")
    answer = medallion("checkpoint", "list", "--json")
    assert (answer.code, json.loads(answer.out)) == (0, [])
    assert list(lake.root.iterdir()) == []


def test_show_prints_the_manifest_and_where_the_checkpoint_stands(
    lake: Lake, medallion: Medallion
) -> None:
    answer = medallion("checkpoint", "show", str(SILVER))
    assert answer.code == 0
    told = json.loads(answer.out)
    assert (told["query"], len(told["generations"])) == (str(SILVER), 1)
    assert told["checkpoint"] == str(lake.home(SILVER).path / "v1")
    assert (told["latest_commits"], told["table_txn"], told["latest_offsets"]) == (0, 0, 0)
    shutil.rmtree(lake.path(SILVER))
    assert json.loads(medallion("checkpoint", "show", str(SILVER)).out)["table_txn"] is None


def test_show_of_a_query_that_never_ran_is_2(lake: Lake, medallion: Medallion) -> None:
    shutil.rmtree(lake.home(GOLD).path)
    answer = medallion("checkpoint", "show", str(GOLD))
    assert (answer.code, answer.out) == (2, "")
    assert "never ran" in answer.err


@pytest.mark.parametrize("words", [("show",), ("reset", "--reason", "x", "--yes")])
@pytest.mark.parametrize("table", ["gold.sale", "silver.customers", "sales", ""])
def test_an_unknown_table_is_2_with_the_known_ones(
    lake: Lake, medallion: Medallion, words: tuple[str, ...], table: str
) -> None:
    before = lake.files()
    answer = medallion("checkpoint", words[0], table, *words[1:])
    assert (answer.code, answer.out) == (2, "")
    for ref in (BRONZE, SILVER, GOLD):
        assert str(ref) in answer.err
    assert lake.files() == before


def test_reset_without_yes_only_shows(lake: Lake, medallion: Medallion) -> None:
    before = lake.files()
    answer = medallion("checkpoint", "reset", str(SILVER), "--reason", "a bug")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        f"{ref}: generation v1 -> v2; the next start rebuilds the table from the "
        "start of its source"
        for ref in (SILVER, GOLD)
    ]
    assert "nothing was changed; add --yes" in answer.err
    assert lake.files() == before


def test_reset_opens_the_readers_too_and_deletes_nothing(lake: Lake, medallion: Medallion) -> None:
    before = lake.files()
    answer = medallion("checkpoint", "reset", str(SILVER), "--reason", "a bug", "--yes")
    assert answer.code == 0
    assert "nothing was deleted" in answer.err
    assert generations(lake) == [1, 2, 2]
    assert lake.files().keys() == before.keys()
    told = manifest.read(lake.home(GOLD))
    assert told
    assert told.current.reason == f"{SILVER} was reset: a bug"


@pytest.mark.parametrize(
    ("ref", "after"), [(BRONZE, [2, 1, 1]), (SILVER, [1, 2, 2]), (GOLD, [1, 1, 2])]
)
def test_which_generations_a_reset_opens(
    lake: Lake, medallion: Medallion, ref: TableRef, after: list[int]
) -> None:
    assert medallion("checkpoint", "reset", str(ref), "--reason", "x", "--yes").code == 0
    assert generations(lake) == after


def test_bronze_that_was_removed_is_another_source_for_its_readers(
    lake: Lake, medallion: Medallion
) -> None:
    shutil.rmtree(lake.path(BRONZE))
    assert medallion("checkpoint", "reset", str(BRONZE), "--reason", "gone", "--yes").code == 0
    assert generations(lake) == [2, 2, 2]


def test_reset_mends_a_manifest_that_cannot_be_read(lake: Lake, medallion: Medallion) -> None:
    lake.home(GOLD).manifest.write_text("{")
    assert medallion("checkpoint", "show", str(GOLD)).code == 1
    assert medallion("checkpoint", "reset", str(GOLD), "--reason", "lost", "--yes").code == 0
    assert generation(lake, GOLD) == 2


def test_reset_of_a_query_that_never_ran(lake: Lake, medallion: Medallion) -> None:
    shutil.rmtree(lake.root / "lake")
    answer = medallion("checkpoint", "reset", str(GOLD), "--reason", "x")
    assert "generation none -> v2" in answer.out
    assert list(lake.root.iterdir()) == []


@pytest.mark.parametrize("reason", ["", "  "])
def test_reset_without_a_reason_is_2(lake: Lake, medallion: Medallion, reason: str) -> None:
    assert medallion("checkpoint", "reset", str(GOLD), "--reason", reason, "--yes").code == 2
    assert medallion("checkpoint", "reset", str(GOLD), "--yes").code == 2
    assert generations(lake) == [1, 1, 1]


@pytest.mark.parametrize("running", [SILVER, GOLD])
def test_reset_is_refused_while_one_of_them_runs(
    lake: Lake, medallion: Medallion, running: TableRef
) -> None:
    with Lock(lake.home(running).lock, str(running)):
        answer = medallion("checkpoint", "reset", str(SILVER), "--reason", "x", "--yes")
    assert (answer.code, answer.out) == (75, "")
    assert f"{running} is already running: pid {os.getpid()}" in answer.err
    assert "medallion stop" in answer.err
    assert generations(lake) == [1, 1, 1]
