"""`medallion destroy`: what goes, what stays, and when it is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from lakes import BRONZE, GOLD, SILVER, Lake, Medallion, write_table
from typer.testing import CliRunner

from medallion_jobs.autoloader.archive import registrations
from medallion_jobs.checkpoint import Lock
from medallion_jobs.cli import app
from medallion_jobs.config import TableRef
from medallion_jobs.lake import paths

CUSTOMERS = TableRef("silver", "customers")
PRODUCTS = TableRef("silver", "products")


@pytest.fixture(scope="module")
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("made"))
    words = ("generate", "--files", "2", "--rows", "3", *lake.arguments)
    assert CliRunner().invoke(app, words).exit_code == 0
    lake.run_all()
    write_table(lake.paths(BRONZE).quarantine)
    return lake


@pytest.fixture(autouse=True)
def _made(lake: Lake, _made_once: Lake) -> None:
    lake.take_over(_made_once)


def landing(lake: Lake) -> Path:
    return lake.config.landing_path("sales")


def doomed(lake: Lake) -> set[str]:
    """What the pipeline and the generator made."""
    doomed = [
        *(lake.path(ref) for ref in (BRONZE, SILVER, GOLD, CUSTOMERS, PRODUCTS)),
        *(lake.home(ref).path for ref in (BRONZE, SILVER, GOLD)),
        lake.paths(BRONZE).ledger,
        lake.paths(BRONZE).quarantine,
        *landing(lake).glob("sales_*.json"),
        *(lake.root / "landing" / "_generated").iterdir(),
    ]
    return {str(path) for path in doomed}


def test_without_yes_it_only_shows(lake: Lake, medallion: Medallion) -> None:
    before = lake.files()
    answer = medallion("destroy")
    assert answer.code == 0
    assert set(answer.out.splitlines()) == doomed(lake)
    assert "nothing was removed; add --yes" in answer.err
    assert lake.files() == before


def test_with_yes_all_of_it_goes_with_the_folders_that_it_empties(
    lake: Lake, medallion: Medallion
) -> None:
    count = len(doomed(lake))
    answer = medallion("destroy", "--yes")
    assert answer.code == 0
    assert f"removed {count} files and folders" in answer.err
    assert list(lake.root.iterdir()) == []


def test_what_the_engine_keeps_besides_goes_too(lake: Lake, medallion: Medallion) -> None:
    config = lake.config
    for kept in (lake.paths(BRONZE).schemas, lake.paths(GOLD).metrics):
        kept.mkdir(parents=True)
    me = registrations.Reader.of(lake.paths(BRONZE))
    assert registrations.register(str(landing(lake)), me) is None
    old = landing(lake) / "_medallion" / "readers" / "sales.sales.json"
    old.parent.mkdir(parents=True)
    told = {"pipeline": "sales", "table": "sales", "ledger": me.ledger, "storage": me.storage}
    old.write_text(json.dumps(told))
    other = registrations.Reader("other", "sales", "/elsewhere/ledger", "/elsewhere")
    assert registrations.register(str(landing(lake)), other) is None
    assert medallion("destroy", "--yes").code == 0
    folder = landing(lake) / ".medallion" / "readers"
    assert [path.name for path in folder.iterdir()] == ["other.sales.reader"]
    assert not old.parent.parent.exists()
    assert not config.state_path.exists()


def test_a_second_time_there_is_nothing(lake: Lake, medallion: Medallion) -> None:
    medallion("destroy", "--yes")
    answer = medallion("destroy", "--yes")
    assert (answer.code, answer.out, answer.err) == (0, "", "there is nothing to remove\n")
    assert list(lake.root.iterdir()) == []


def test_files_and_tables_of_others_stay(lake: Lake, medallion: Medallion) -> None:
    own = {
        landing(lake) / "sales_mine.json",
        lake.root / "landing" / "notes.txt",
        lake.root / "lake" / "silver" / "mine.csv",
    }
    for file in own:
        file.write_text("mine")
    other = TableRef("gold", "of_another_pipeline")
    write_table(lake.path(other))
    write_table(lake.paths(TableRef("bronze", "other")).quarantine)
    kept = {
        name: data
        for name, data in lake.files().items()
        if str(lake.root / name) in map(str, own) or "other" in name
    }
    assert medallion("destroy", "--yes").code == 0
    assert lake.files() == kept


def test_customers_that_the_generator_did_not_make_stay(lake: Lake, medallion: Medallion) -> None:
    shutil.rmtree(lake.path(CUSTOMERS))
    write_table(lake.path(CUSTOMERS), rows=99)
    customers = {name for name in lake.files() if "/customers/" in name}
    answer = medallion("destroy", "--yes")
    assert str(lake.path(CUSTOMERS)) not in answer.out
    assert set(lake.files()) == customers


def test_customers_that_the_generator_made_go_although_rows_were_added(
    lake: Lake, medallion: Medallion
) -> None:
    medallion("generate", "--files", "0", "--customers", "16")
    assert str(lake.path(CUSTOMERS)) in medallion("destroy").out


def test_empty_folders_of_others_stay(lake: Lake, medallion: Medallion) -> None:
    """Another pipeline's landing folder may well be empty, and missed if it were gone."""
    others = [lake.root / "landing" / "app_logs", lake.root / "lake" / "a" / "b"]
    for folder in others:
        folder.mkdir(parents=True)
    assert medallion("destroy", "--yes").code == 0
    assert all(folder.is_dir() for folder in others)


@pytest.mark.parametrize("own", [(), ("mine.csv",)])
def test_sparks_warehouse_goes_when_nothing_is_in_it(
    lake: Lake, medallion: Medallion, own: tuple[str, ...]
) -> None:
    warehouse = paths.warehouse(lake.config)
    warehouse.mkdir()
    for name in own:
        (warehouse / name).write_text("mine")
    assert medallion("destroy", "--yes").code == 0
    assert warehouse.exists() == bool(own)


@pytest.mark.parametrize("yes", [(), ("--yes",)])
def test_it_is_refused_while_something_runs(
    lake: Lake, medallion: Medallion, yes: tuple[str, ...]
) -> None:
    before = lake.files()
    with Lock(lake.home(SILVER).lock, str(SILVER)):
        answer = medallion("destroy", *yes)
    assert (answer.code, answer.out) == (75, "")
    assert f"pid {os.getpid()}" in answer.err
    assert lake.files() == before
