"""`medallion init`: the files that it writes, and the config that it proposes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.exports import EXPORTS
from typer.testing import CliRunner, Result

from medallion_jobs.cli import app
from medallion_jobs.config import Loaded, load
from medallion_jobs.errors import MedallionError, UsageError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MEDALLION_CONFIG", raising=False)
    return folder


def init(*words: str | Path) -> Result:
    done = CliRunner().invoke(app, ["init", *map(str, words)])
    if isinstance(done.exception, MedallionError):
        raise done.exception
    assert done.exit_code == 0, done.exception
    return done


def proposed(*words: str | Path) -> Loaded:
    """The config proposed for files, which has no mistake."""
    init("shop", *words)
    return load(Path("shop/medallion.yaml"), environ={})


@pytest.mark.parametrize("name", EXPORTS)
def test_a_config_is_proposed_for_each_export(name: str, tmp_path: Path) -> None:
    folder = EXPORTS[name].into(tmp_path / name)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    config = proposed("--from", folder).pipeline
    assert {*EXPORTS[name].gold} == {*config.gold}
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


def options(config: Loaded, table: str) -> dict[str, Any]:
    return dict(config.pipeline.file_sources[table].options)


def test_the_dialects_of_csv(tmp_path: Path) -> None:
    german = proposed("--from", EXPORTS["german"].into(tmp_path / "german"))
    found = options(german, "bestellungen")
    names = json.loads(found.pop("rename_columns"))
    assert found == {"sep": ";", "encoding": "windows-1252", "decimal_comma": "true"}
    assert (names["Größe (cm)"], names["Erfasst am"]) == ("groesse_cm", "erfasst_am")
    table = german.pipeline.silver["bestellungen"]
    assert table.cast["datum"].formats == ("dd.MM.yyyy",)
    assert table.cast["erfasst_am"].formats == ("dd.MM.yyyy HH:mm",)
    assert table.dedupe and table.dedupe.keys == ("bestellnummer",)

    Path("shop").rename("german")
    dumps = proposed("--from", EXPORTS["dumps"].into(tmp_path / "dumps"))
    assert options(dumps, "orders") == {}
    assert options(dumps, "lines") == {"sep": "\t"}
    assert options(dumps, "nohead") == {"sep": "|", "header": "false"}
    assert options(dumps, "excel") == {"sep": ";", "skip_rows": "1"}
    assert options(dumps, "report")["skip_rows"] == "2"
    sources = dumps.pipeline.file_sources
    assert sources["orders"].path_glob_filter == "orders_*.csv"
    assert sources["report"].path_glob_filter == "report*.csv"
    assert "customer_id bigint" in str(sources["orders"].schema_)


def schema_of(folder: Path, text: str, name: str = "x.csv") -> str:
    folder.mkdir()
    (folder / name).write_text(text, encoding="utf-8")
    (source,) = proposed("--from", folder).pipeline.file_sources.values()
    return source.schema_ or ""


def test_types_hold_each_value_of_the_sample(tmp_path: Path) -> None:
    rows = [
        "number,zip,price,tiny,big,huge,flag,day,time,mixed,word",
        "1,01234,1.5,0.0000001,123456789012345678901,1e5,true,2026-01-31,2026-01-31T10:00:00Z,1,a",
        "2,99999,10.25,0.5,2,7,false,2026-02-01,2026-01-31 10:00:00.123456+02:00,x,",
    ]
    schema = schema_of(tmp_path / "types", "\n".join(rows) + "\n")
    assert schema == (
        "number bigint, zip string, price decimal(18,2), tiny double, big decimal(38,0), "
        "huge string, flag boolean, day date, time timestamp, mixed string, word string"
    )


def test_types_of_json(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "n": 1, "a": [1, 2.5], "o": {"x": None, "y y": 1, "z": {}}, "none": None},
        {"id": 2, "n": "1", "a": [], "o": {"x": "2026-01-31"}, "ID": 7, "odd-name": True, "a b": 3},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    schema = schema_of(tmp_path / "json", text, "x.ndjson")
    assert schema == (
        "id bigint, n string, a array<decimal(18,2)>, o struct<x: date>, `odd-name` boolean"
    )
    written = Path("shop/medallion.yaml").read_text()
    assert "they are in _rescued_data: 'a b'." in written
    assert 'odd_name: "`odd-name`"' in written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"id": 1},\n {"id": 2}]', {"multiLine": "true"}),
        ('{\n "id": 1\n}\n', {"multiLine": "true"}),
        ('{"id": 1}{"id": 2}\n{"id": 3}', {"concatenated": "true"}),
        ('{"id": 1}\n{"id": 2}\n', {}),
    ],
)
def test_forms_of_json(text: str, expected: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_text(text)
    assert options(proposed("--from", tmp_path / "in"), "in") == expected


def test_day_and_month_are_not_guessed(tmp_path: Path) -> None:
    text = "id,clear,unclear\n" + "".join(
        f"{n},{n + 10}/01/2026,0{n}/02/2026\n" for n in range(1, 9)
    )
    schema_of(tmp_path / "days", text)
    table = load(Path("shop/medallion.yaml"), environ={}).pipeline.silver["days"]
    assert table.cast["clear"].formats == ("dd/MM/yyyy",)
    assert "unclear" not in table.cast
    assert "stay text:\n  " in Path("shop/medallion.yaml").read_text()


def test_files_below_the_project_are_named_relative_to_it() -> None:
    Path("data").mkdir()
    Path("data/a.json").write_text('{"id": 1}\n')
    init("--from", "data")
    assert "path: data\n" in Path("medallion.yaml").read_text()
    assert Path("tests/test_pipeline.py").is_file()
    assert load(Path("medallion.yaml"), environ={}).pipeline.pipeline == "work"


def test_single_files_are_named_by_a_pattern_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("orders-1.json", "orders-2.json", "other.json"):
        (folder / name).write_text('{"id": 1}\n')
    init("a", "--from", folder / "orders-1.json", "--from", folder / "orders-2.json")
    (source,) = load(Path("a/medallion.yaml")).pipeline.file_sources.values()
    assert source.path_glob_filter == "orders-*.json"
    # As a shell writes `--from *.json`.
    init("--from", folder / "orders-1.json", folder / "other.json")
    (source,) = load(Path("medallion.yaml")).pipeline.file_sources.values()
    assert source.path_glob_filter == "{orders-1.json,other.json}"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    Path("shop").mkdir()
    Path("shop/README.md").write_text("mine")
    with pytest.raises(UsageError) as raised:
        init("shop")
    assert "README.md" in raised.value.what
    assert [file.name for file in Path("shop").iterdir()] == ["README.md"]
    init("other")
    with pytest.raises(UsageError):
        init("other")


def test_a_lake_among_the_files_is_refused(tmp_path: Path) -> None:
    Path("a.json").write_text('{"id": 1}\n')
    with pytest.raises(UsageError) as raised:
        init("shop", "--from", ".")
    assert raised.value.code == "project_among_files"
    assert not Path("shop").exists()


def test_what_no_table_reads_is_listed(tmp_path: Path) -> None:
    folder = EXPORTS["mixed"].into(tmp_path / "mixed")
    assert "no table reads" in init("shop", "--from", folder).stderr
    (tmp_path / "none").mkdir()
    for given in (tmp_path / "none", tmp_path / "missing"):
        with pytest.raises(UsageError) as raised:
            init("none", "--from", given)
        assert raised.value.code == "no_files_to_sample"


@pytest.mark.parametrize("name", ["sales", "app_events", "iot_sales", "transactions", "orders_cdc"])
def test_a_template_is_the_pipeline_of_the_repository(name: str) -> None:
    init("mine", "--template", name)
    own = load(Path("mine/medallion.yaml"), environ={}, loads_sinks=False).pipeline
    repository = Path(__file__).parents[2] / "conf" / f"{name}.yaml"
    given = load(repository, environ={}, loads_sinks=False).pipeline
    without = {"storage", "landing"}
    assert own.model_dump(exclude=without) == given.model_dump(exclude=without)


def test_a_project_by_itself_is_found_and_generates() -> None:
    done = init("shop", "--template", "sales")
    assert "next: cd shop && medallion generate && medallion run" in done.stderr
    init("plain")
    assert load(Path("plain/medallion.yaml"), environ={}).pipeline.pipeline == "plain"
    assert len(Path("plain/README.md").read_text().splitlines()) <= 12
    schema = json.loads(Path("plain/pipeline.schema.json").read_text())
    assert schema["properties"]["pipeline"]
    with pytest.raises(UsageError):
        init("x", "--template", "sales", "--from", "shop")
