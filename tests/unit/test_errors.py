"""Errors have codes; a page lists them, and JSON output has them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

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


def test_a_run_that_fails_ends_with_the_event(tmp_path: Path) -> None:
    config = tmp_path / "p.yaml"
    config.write_text(
        f"pipeline: p\nstorage: {{root: {tmp_path}/lake}}\n"
        f"bronze: {{t: {{source: {{format: json, path: {tmp_path}/none}}}}}}\n"
    )
    command = ["run", "bronze", "--config", str(config), "--progress", "json"]
    result = CliRunner().invoke(app, command)
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["event"], last["code"], last["exit_code"]) == ("error", "no_landing_folder", 2)
    assert str(tmp_path / "none") in last["what"]
