"""What README and docs tell the reader to type exists; what they link to is there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from support.pages import PAGES, ROOT, commands, words

from medallion_jobs.cli import app

_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_CASES = [
    pytest.param(command, id=f"{page.name}: {command}"[:90])
    for page in PAGES
    for command in dict.fromkeys(commands(page))
]


@pytest.mark.parametrize("command", _CASES)
def test_a_command_that_is_shown_exists(command: str) -> None:
    program, *arguments = words(command)
    if program.startswith("scripts/"):
        assert os.access(ROOT / program, os.X_OK)
        return
    at: Any = typer.main.get_command(app)
    while hasattr(at, "commands") and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        assert name in at.commands, f"no command {name}"
        at = at.commands[name]
    known = {flag for option in at.params for flag in option.opts} | {"--help", "-h"}
    used = {word.partition("=")[0] for word in arguments if re.match(r"--?[a-z]", word)}
    assert used <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_tests_that_hold_a_promise_are_there() -> None:
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/\w+/\w+\.py)`", page))
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_pipeline_in_the_readme_is_the_one_that_is_shipped() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)
    shipped = (ROOT / "conf" / "sales.yaml").read_text(encoding="utf-8")
    assert shown
    assert shown[1] == "".join(
        line for line in shipped.splitlines(keepends=True) if not line.startswith("#")
    )
