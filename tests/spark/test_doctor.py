"""`medallion doctor` on a lake that a run made, whole and with one thing wrong at a time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake
from support.lake import CONFIG, Lake
from typer.testing import CliRunner

from medallion_jobs.cli import app
from medallion_jobs.errors import MedallionError
from medallion_jobs.runs import Record, store


def examined(lake: Lake, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the findings, but for those about this machine."""
    result = CliRunner().invoke(app, ["doctor", "--json", *words, *lake.arguments])
    found = [one for one in json.loads(result.stdout) if one["where"] != "this machine"]
    return result.exit_code, [one for one in found if one["code"] != "table_unknown"]


def _entry(lake: Lake, table: str, place: int) -> Path:
    log = lake.storage / table.replace(".", "/") / "_delta_log"
    return sorted(log.glob("*.json"))[place]


def _lost_last(lake: Lake) -> None:
    _entry(lake, "silver.sales", -1).unlink()


def _lost_whole(lake: Lake) -> None:
    last = _entry(lake, "silver.sales", -1)
    last.with_suffix(".crc").unlink()
    last.unlink()


def _lost_first(lake: Lake) -> None:
    _entry(lake, "silver.sales", 0).unlink()


def _emptied(lake: Lake) -> None:
    _entry(lake, "bronze.sales", -1).write_bytes(b"")


def _emptied_of_engine(lake: Lake) -> None:
    _entry(lake, "_medallion.metrics.bronze.sales", -1).write_bytes(b"")


def _rows_doubled(lake: Lake) -> None:
    table = DeltaTable(lake.storage / "bronze" / "sales")
    write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")


def _no_checkpoint(lake: Lake) -> None:
    (lake.checkpoints / "gold" / "sales_by_region_day" / "manifest.json").unlink()


def _no_dimension(lake: Lake) -> None:
    (lake.storage / "silver" / "customers").rename(lake.storage / "silver" / "elsewhere")


# What is done to the lake; and the codes and the tables of the errors that are found.
HARMS: dict[str, tuple[Callable[[Lake], None], set[tuple[str, str]]]] = {
    "last entry lost": (_lost_last, {("log_entry_missing", "silver.sales")}),
    "last entry lost, and its checksum": (_lost_whole, {("table_restored", "silver.sales")}),
    "first entry lost": (_lost_first, {("log_entry_missing", "silver.sales")}),
    "entry empty": (_emptied, {("log_entry_empty", "bronze.sales")}),
    "entry empty, of the engine": (
        _emptied_of_engine,
        {("log_entry_empty", "metrics/bronze/sales")},
    ),
    "a row twice": (_rows_doubled, {("rows_unaccounted", "bronze.sales")}),
    "manifest lost": (_no_checkpoint, {("manifest_lost", "gold.sales_by_region_day")}),
    "dimension lost": (_no_dimension, {("dimension_missing", "silver.sales")}),
}


def test_a_lake_without_fault(sales: Lake) -> None:
    assert examined(sales) == (0, [])


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_each_harm_is_found(
    harm: tuple[Callable[[Lake], None], set[tuple[str, str]]], sales: Lake, tmp_path: Path
) -> None:
    lake = sales.copy(tmp_path)
    do, wanted = harm
    do(lake)
    code, found = examined(lake)
    errors = {(one["code"], one["where"]) for one in found if one["severity"] == "error"}
    assert code == 1
    assert wanted <= errors
    assert all(one["what"] for one in found)
    # Nothing of that is mended without being asked, nor by a command that does only what is safe.
    assert {(one["code"], one["where"]) for one in examined(lake, "--fix")[1]} >= wanted


@pytest.mark.parametrize("harm", [_lost_last, _lost_first, _emptied])
def test_a_broken_log_is_no_bug(harm: Callable[[Lake], None], sales: Lake, tmp_path: Path) -> None:
    lake = sales.copy(tmp_path)
    harm(lake)
    for command in ("status", "plan", "check", "run"):
        error = CliRunner().invoke(app, [command, *lake.arguments]).exception
        assert error is None or isinstance(error, MedallionError | SystemExit), (command, error)
        if harm is _lost_last and command in ("status", "run"):
            assert isinstance(error, MedallionError)
            assert error.code in ("table_unreadable", "tables_failed")
            assert f"{lake.storage}/silver/sales" in error.what
            assert "medallion doctor" in error.next_step


def test_leftovers_are_removed_when_asked(sales: Lake, tmp_path: Path) -> None:
    lake = sales.copy(tmp_path)
    folder = lake.checkpoints / "silver" / "sales"
    old, young = folder / ".manifest.json.abc.tmp", folder / ".manifest.json.def.tmp"
    for file in (old, young):
        file.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    (folder / "stop").write_text("asked")
    state = lake.config.state_path
    killed = Record("20260101-000000-000-aaaaaa", "run", host="elsewhere", outcome="running")
    at = "2026-01-01T00:00:00+00:00"
    store.write(state, Record(**{**vars(killed), "started": at, "beat": at}))
    (state / "slots" / "rebuild" / "silver" / "sales").mkdir(parents=True)

    codes = {"temporary_files", "stop_left", "run_not_closed"}
    code, found = examined(lake)
    assert (code, {one["code"] for one in found}) == (0, {*codes, "slot_unfinished"})
    assert old.exists()
    code, found = examined(lake, "--fix")
    assert {one["code"] for one in found if one["fixed"]} == codes
    assert not old.exists()
    assert young.exists()
    assert [one["code"] for one in examined(lake)[1]] == ["slot_unfinished"]


def test_a_table_that_the_config_no_longer_has(sales: Lake, tmp_path: Path) -> None:
    roots = f"storage: {{root: {sales.storage}}}\nlanding: {{root: {sales.landing}}}\n"
    file = tmp_path / "sales.yaml"
    file.write_text(CONFIG.read_text().partition("\ngold:")[0] + "\n" + roots)
    result = CliRunner().invoke(app, ["doctor", "--config", str(file)])
    assert result.exit_code == 0
    assert "warning: gold.sales_by_region_day: the config no longer has it" in result.stdout
