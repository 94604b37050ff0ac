"""Names and texts as they stand in SQL."""

from __future__ import annotations

from medallion_jobs.storage import Location


def column(name: str) -> str:
    """A column, or another name, to the letter."""
    return "`" + name.replace("`", "``") + "`"


def table(path: Location) -> str:
    """The Delta table at a path."""
    return f"delta.{column(str(path))}"


def text(value: str) -> str:
    """A text between quotes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
