"""The captured messages of Debezium, and tables compared with their source."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from medallion_jobs.testing import LakeHarness

DATA = Path(__file__).parents[1] / "data" / "debezium"


def lines_of(scenario: str, mode: str) -> list[str]:
    return (DATA / f"{scenario}.{mode}.jsonl").read_text(encoding="utf-8").splitlines()


def source(scenario: str, table: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / "source" / f"{scenario}.json").read_text())[table]
    return found


def text_of(value: Any, kind: str) -> str | None:
    """A value of the table as PostgreSQL writes it, of the types that need more than `str`."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        item = kind.removesuffix("[]")
        return "{" + ",".join("NULL" if v is None else str(text_of(v, item)) for v in value) + "}"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, datetime):
        text = value.astimezone(timezone.utc).isoformat(" ") if value.tzinfo else str(value)
        return re.sub(r"(\.[0-9]*?)0+(?=[+-]|$)", r"\1", text).replace("+00:00", "+00")
    return value.isoformat() if isinstance(value, date) else str(value)


def normal(text: str | None, kind: str) -> Any:
    """A text of PostgreSQL, so that equal values have equal texts."""
    if text is None:
        return None
    if kind.startswith(("numeric", "real", "double")) and not kind.endswith("[]"):
        return Decimal(text).normalize() if kind.startswith("numeric") else float(text)
    if kind.endswith("[]"):
        return text.replace('"', "")
    return text.rstrip() if kind.startswith("character(") else text


def assert_equal(lake: LakeHarness, name: str, wanted: Mapping[str, Any]) -> None:
    """Compares a silver table with its source, in the columns that it has."""
    kinds: Mapping[str, str] = wanted["columns"]
    rows = lake.rows(f"silver.{name}")
    columns = [column for column in (rows[0] if rows else kinds) if column in kinds]

    def texts(found: Iterable[Mapping[str, Any]], *, ours: bool) -> list[str]:
        return sorted(
            repr([normal(text_of(row[c], kinds[c]) if ours else row[c], kinds[c]) for c in columns])
            for row in found
        )

    assert texts(rows, ours=True) == texts(wanted["rows"], ours=False), name
