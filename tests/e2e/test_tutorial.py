"""docs/tutorial.md from top to bottom: files are made, commands typed, output compared.

In one process: the commands share a Spark session.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable
from support.pages import ROOT, blocks, words
from typer.testing import CliRunner

from medallion_jobs.cli import app

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PAGE = ROOT / "docs" / "tutorial.md"
# These install; tests/unit/test_wheel.py has what is installed.
INSTALL = ("python3 ", "source ", "pip ", "medallion setup")


def typed(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the output below it."""
    commands = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(line, shown) for line, *shown in (command.splitlines() for command in commands)]


def without_rule(lines: list[str]) -> list[str]:
    return [line.rstrip() for line in lines if line.strip("─")]


def test_the_tutorial(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path
    monkeypatch.chdir(place)
    compared = 0
    for block in blocks(pages=[PAGE]):
        if block.title:
            name, _, below = block.title.partition(", ")
            with (place / name).open("a" if below else "x", encoding="utf-8") as file:
                file.write(block.text)
            continue
        for command, shown in typed(block.text):
            if command.startswith("cd "):
                place /= command.removeprefix("cd ")
                monkeypatch.chdir(place)
            elif command.startswith("mkdir "):
                subprocess.run(words(command), cwd=place, check=True)
            elif not command.startswith(INSTALL):
                result = CliRunner().invoke(app, words(command)[1:])
                assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception!r}"
                if shown:
                    assert without_rule(result.stdout.splitlines()) == without_rule(shown)
                    compared += 1
    assert compared >= 7
    # Another engine sees the same.
    gold = DeltaTable(place / "lake" / "gold" / "revenue").to_pyarrow_table().to_pylist()
    assert sum(row["orders"] for row in gold) == 6
    assert sum(row["revenue"] for row in gold) == 80
