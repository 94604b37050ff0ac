"""What the unit tests share; none of it starts a JVM."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import duckdb
import pytest
import typer.main
from hypothesis import settings
from lakes import Answer, Lake, Medallion
from support import objects

from medallion_jobs.cli import main
from medallion_jobs.report import lake_views

# The tier is run all the time; more with `pytest --hypothesis-profile default`.
settings.register_profile("unit", max_examples=40, deadline=None)
settings.load_profile("unit")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


@pytest.fixture(scope="session")
def _ran_once(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("ran"))
    lake.run_all()
    return lake


@pytest.fixture
def ran(lake: Lake, _ran_once: Lake) -> Lake:
    """The lake after a run of one batch a layer; copied, which is quicker than made."""
    lake.take_over(_ran_once)
    return lake


# Typer reads the signatures of all commands each time.
_command = cache(typer.main.get_command)


@pytest.fixture
def medallion(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Medallion:
    """Runs a command on the lake as the console script does, to its exit code."""
    monkeypatch.setattr("typer.main.get_command", _command)

    def run(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["medallion", *words, *lake.arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code is None or isinstance(ended.value.code, int)
        return Answer(ended.value.code or 0, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def _one_duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with lake_views.connect(Path()) as connection:
        yield connection


@pytest.fixture
def quick_duck(_one_duck: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection for all tests: to load DuckDB's Delta extension takes half a second."""

    @contextmanager
    def connect(at: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            yield _one_duck
        finally:
            for schema in ("bronze", "silver", "gold", "ledger", "quarantine"):
                _one_duck.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")

    monkeypatch.setattr("medallion_jobs.report.query.connect", connect)
    # What is confined stays so; test_query_confined.py has connections of its own.
    monkeypatch.setattr("medallion_jobs.report.query.confine", lambda *_: None)
    monkeypatch.setattr("medallion_jobs.report.files.connect", connect)


@pytest.fixture(scope="session")
def store() -> Iterator[objects.Store]:
    """A store that speaks S3."""
    with objects.running() as running:
        yield running
