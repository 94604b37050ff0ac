"""The page of the architecture names only what exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "medallion_jobs"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:[a-z0-9_]+/)*[a-z0-9_]+\.py)(?:::([A-Za-z0-9_.]+))?`", PAGE)))


@cache
def names_in(file: str) -> set[str]:
    """Functions, classes and their methods, and constants of a module."""
    found = set()
    for node in ast.parse((PACKAGE / file).read_text(encoding="utf-8")).body:
        for target in node.targets if isinstance(node, ast.Assign) else ():
            found.add(ast.unparse(target))
        if isinstance(node, ast.AnnAssign):
            found.add(ast.unparse(node.target))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(inner, ast.FunctionDef):
                found.add(f"{node.name}.{inner.name}")
    return found


def test_what_it_names_exists() -> None:
    assert len(NAMED) > 60
    missing = [
        (file, name)
        for file, name in NAMED
        if not (PACKAGE / file).is_file() or (name and name not in names_in(file))
    ]
    assert missing == []


def test_it_names_every_room() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    rooms |= {path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    table = PAGE.split("## The rooms")[1].split("## ")[0]
    assert {room for room in rooms if f"`{room}" not in table} == set()


def test_its_rooms_lie_as_the_imports_run() -> None:
    from test_house import FLOORS

    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    table = PAGE.split("## The rooms")[1].split("## ")[0]
    firsts = [
        re.findall(r"`([a-z]+)[./]", line.split("|")[1])
        for line in table.splitlines()
        if "`" in line and line.startswith("|")
    ]
    floors = [floor[room] for names in firsts for room in names]
    assert floors == sorted(floors)
