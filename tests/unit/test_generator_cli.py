"""`medallion generate`, from its options to its last line."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import typer
from deltalake import DeltaTable
from typer.testing import CliRunner, Result

from medallion_jobs.cli.generate import generate
from medallion_jobs.errors import MedallionError, UsageError
from medallion_jobs.generator import stopping_on_signals

CONF = Path(__file__).parents[2] / "conf"
DOCS = CONF.parent / "docs" / "generator.md"
APP = typer.Typer()
APP.command()(generate)


def invoke(root: Path, *options: str, config: Path = CONF / "sales.yaml") -> Result:
    places = (f"storage.root={root / 'lake'}", f"landing.root={root / 'landing'}")
    sets = [word for place in places for word in ("--set", place)]
    result = CliRunner().invoke(APP, ["--config", str(config), *sets, *options])
    if isinstance(result.exception, MedallionError):
        raise result.exception
    return result


def altered(folder: Path, *changes: tuple[str, str]) -> Path:
    text = (CONF / "sales.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    config = folder / "sales.yaml"
    config.write_text(text)
    return config


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_writes_where_the_pipeline_reads(tmp_path: Path) -> None:
    result = invoke(tmp_path, "--files", "3", "--rows", "20", "--seed", "5", "--dirty", "0.5")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("wrote 3 files, 60 lines (")
    assert f"to {tmp_path / 'landing' / 'sales'}; next: medallion run" in last
    assert "seed 5" in result.stderr
    assert len(names(tmp_path / "landing" / "sales")) == 3
    assert names(tmp_path / "landing") == ["_generated", "sales"]
    assert names(tmp_path / "lake" / "silver") == ["customers", "products"]
    assert DeltaTable(tmp_path / "lake" / "silver" / "customers").version() == 0


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("app_events", ["app_logs"]),
        ("transactions", ["transactions"]),
        ("iot_sales", ["iot_customers", "iot_products", "iot_sales_raw", "iot_stores"]),
    ],
)
def test_every_table_of_a_pipeline_gets_its_files(
    tmp_path: Path, name: str, tables: list[str]
) -> None:
    options = ("--files", "4", "--rows", "20", "--json")
    result = invoke(tmp_path, *options, config=CONF / f"{name}.yaml")
    assert result.exit_code == 0, result.output
    assert names(tmp_path / "landing") == ["_generated", *tables]
    # Nothing is seeded: what their events refer to lands as files.
    assert names(tmp_path) == ["landing"]
    assert "dimensions" not in result.stderr
    told = json.loads(result.stdout)
    for table in tables:
        listed = [file["name"] for file in told["files"] if file["table"] == table]
        assert listed == names(tmp_path / "landing" / table)
        assert str(tmp_path / "landing" / table) in result.stderr
    assert told["totals"]["files"] == len(told["files"])
    assert f"next: medallion run --config {CONF / name}.yaml" in result.stderr


def test_files_go_where_a_source_says(tmp_path: Path) -> None:
    elsewhere = f"bronze.iot_stores.source.path={tmp_path / 'elsewhere'}"
    options = ("--files", "1", "--rows", "5", "--set", elsewhere)
    invoke(tmp_path, *options, config=CONF / "iot_sales.yaml")
    assert len(names(tmp_path / "elsewhere")) == 1
    assert names(tmp_path / "landing") == [
        "_generated",
        "iot_customers",
        "iot_products",
        "iot_sales_raw",
    ]


def test_a_pipeline_that_lacks_one_of_the_tables_is_refused(tmp_path: Path) -> None:
    text = (CONF / "iot_sales.yaml").read_text()
    config = tmp_path / "iot_sales.yaml"
    config.write_text(text.replace("iot_stores", "shops"))
    with pytest.raises(UsageError) as refused:
        invoke(tmp_path / "out", config=config)
    assert "bronze.iot_stores" in refused.value.what
    assert not (tmp_path / "out").exists()


def test_the_docs_show_what_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = DOCS.read_text()
    command = next(line for line in page.splitlines() if line.startswith("$ medallion generate "))
    shutil.copytree(CONF, "conf")
    config = Path("conf") / "sales.yaml"
    result = CliRunner().invoke(APP, ["--config", str(config), *command.split()[3:]])
    dimensions, speed, wrote = result.stderr.splitlines()
    assert dimensions in page
    assert speed.split(": ")[0] in page
    assert wrote.removesuffix(f" --config {config}") in page
    [summary] = (tmp_path / "landing" / "_generated").iterdir()
    first_file = summary.read_text().split("\n  ")[1].rstrip(",")
    assert first_file in page


@pytest.mark.parametrize("name", ["app_events", "iot_sales", "transactions"])
def test_the_docs_show_the_first_lines(name: str, tmp_path: Path) -> None:
    page = DOCS.read_text().splitlines()
    wanted = ("--files", "1", "--seed", "42", "--now", "2026-01-31T12:00:00Z")
    invoke(tmp_path, *wanted, config=CONF / f"{name}.yaml")
    files = [path for path in (tmp_path / "landing").rglob("*.json") if path.parent.name[0] != "_"]
    assert len(files) == (4 if name == "iot_sales" else 1)
    for path in files:
        assert path.read_text().splitlines()[0] in page


def test_json_is_the_summary_on_disk_and_the_drawn_seed_repeats_it(tmp_path: Path) -> None:
    told = json.loads(invoke(tmp_path, "--files", "2", "--rows", "10", "--json").stdout)
    [path] = (tmp_path / "landing" / "_generated").iterdir()
    assert told == json.loads(path.read_bytes())
    again = ("--files", "2", "--rows", "10", "--seed", str(told["seed"]), "--now", told["now"])
    result = invoke(tmp_path, *again)
    assert "2 files already existed" in result.stderr
    assert "wrote 0 files, 0 lines" in result.stderr
    assert len(names(tmp_path / "landing" / "sales")) == 2


def test_no_files_only_seeds(tmp_path: Path) -> None:
    result = invoke(tmp_path, "--files", "0", "--customers", "16")
    assert result.exit_code == 0, result.output
    assert "16 rows added to silver.customers" in result.stderr
    assert names(tmp_path) == ["lake"]


def test_a_rate_ends_with_its_duration(tmp_path: Path) -> None:
    result = invoke(tmp_path, "--rate", "1000", "--rows", "10", "--duration", "50ms", "--json")
    told = json.loads(result.stdout)
    # A busy machine may end with fewer than the five files, and then says so.
    assert 1 <= told["totals"]["files"] <= 5
    assert ("could not keep up" in result.stderr) == (told["totals"]["files"] < 5)
    assert "s late" in result.stderr


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--now", "noon"), "noon"),
        (("--duration", "60", "--rate", "5"), "60"),
        (("--customers", "14"), "14"),
        (("--dirty", "2"), "--dirty"),
    ],
)
def test_a_wrong_option_writes_nothing(
    tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    with pytest.raises(UsageError) as refused:
        invoke(tmp_path, *options)
    assert named in refused.value.what
    assert names(tmp_path) == []


def test_another_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        invoke(tmp_path / "out", config=altered(tmp_path, ("pipeline: sales", "pipeline: events")))
    assert "events" in refused.value.what
    assert not (tmp_path / "out").exists()


def test_a_pipeline_that_would_not_read_the_files_is_refused(tmp_path: Path) -> None:
    config = altered(
        tmp_path,
        ("bronze:\n  sales:", "bronze:\n  other:"),
        ("from: bronze.sales", "from: bronze.other"),
    )
    with pytest.raises(UsageError) as refused:
        invoke(tmp_path / "out", config=config)
    assert "bronze.sales" in refused.value.what
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_waiting_early(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stopping_on_signals() as wait:
        assert wait(0.0) is False
        os.kill(os.getpid(), number)
        start = time.monotonic()
        assert wait(30.0) is True
        assert time.monotonic() - start < 10
        # A second signal would end the process: the usual handler is back already.
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before
