"""Errors have codes; a page lists them, and JSON output has them."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest
from support.errors_page import PACKAGE, page, sites
from typer.testing import CliRunner

from medallion_jobs.cli import app
from medallion_jobs.errors import DataError, LockHeld
from medallion_jobs.observe.events import error_as_json

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def test_the_page_lists_every_code() -> None:
    """Update it with: cd tests && ../.venv/bin/python -m support.errors_page > ../docs/errors.md"""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_a_code_is_words_and_says_what_to_do() -> None:
    found = list(sites())
    assert len(found) > 200
    assert [site.code for site in found if not re.fullmatch(r"[a-z]+(_[a-z]+)*", site.code)] == []
    assert {code for site in found for code in site.exit_codes} == {1, 2, 3, 75}


def test_every_code_is_a_literal() -> None:
    """So that the page can have it. `_refusal` hands on the code that it is given."""
    given = [
        f"{file.name}:{keyword.value.lineno}"
        for file in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "code" and not isinstance(keyword.value, ast.Constant)
    ]
    assert [place for place in given if not place.startswith("start_checks.py")] == []


def test_json_has_the_code_and_no_secret() -> None:
    error = DataError(
        "cannot read //user:pass-word@host/x", code="batch_failed", untouched="all", next_step="fix"
    )
    assert error_as_json(error) == (
        '{"event": "error", "code": "batch_failed", "exit_code": 1, '
        '"what": "cannot read //user:***@host/x", "untouched": "all", "next_step": "fix"}'
    )
    held = LockHeld("x is already running", holder={})
    assert (held.code, held.exit_code) == ("query_already_running", 75)


@pytest.fixture
def without_landing(tmp_path: Path) -> Path:
    """A config whose landing folder does not exist."""
    config = tmp_path / "p.yaml"
    config.write_text(
        f"pipeline: p\nstorage: {{root: {tmp_path}/lake}}\n"
        f"bronze: {{t: {{source: {{format: json, path: {tmp_path}/none}}}}}}\n"
    )
    return config


def is_the_event(stdout: str, config: Path) -> bool:
    last = json.loads(stdout.splitlines()[-1])
    assert (last["event"], last["code"], last["exit_code"]) == ("error", "no_landing_folder", 2)
    return str(config.parent / "none") in last["what"]


def test_a_run_that_fails_ends_with_the_event(without_landing: Path) -> None:
    command = ["run", "bronze", "--config", str(without_landing), "--progress", "json"]
    assert is_the_event(CliRunner().invoke(app, command).stdout, without_landing)


def test_so_does_a_submitted_job(
    without_landing: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from medallion_jobs import bronze  # it imports pyspark
    from medallion_jobs.engine import runner

    monkeypatch.setattr(runner.session, "check_submitted", lambda _: None)  # starts no JVM
    monkeypatch.setattr(sys, "argv", ["bronze.py", "--config", str(without_landing)])
    with pytest.raises(SystemExit) as ended:
        runner.submitted(bronze.streams)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert is_the_event(told.out, without_landing)
    assert told.err.startswith("error: there is no landing folder")


def test_every_code_is_explained() -> None:
    """From the page that is in the package."""
    for code in {site.code for site in sites()}:
        done = CliRunner().invoke(app, ["explain", code])
        assert done.exit_code == 0, code
        assert done.stdout.startswith(f"{code} (exit code ")
        assert "what happened: " in done.stdout
    refused = CliRunner().invoke(app, ["explain", "batch_faild"])
    assert "medallion explain batch_failed" in str(refused.exception)
