"""Names and texts as they stand in SQL."""

from __future__ import annotations

from pathlib import Path


def column(name: str) -> str:
    """A column, or another name, to the letter."""
    return "`" + name.replace("`", "``") + "`"


def table(path: Path) -> str:
    """The Delta table at a path."""
    return f"delta.{column(str(path))}"


def text(value: str) -> str:
    """A text between quotes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
