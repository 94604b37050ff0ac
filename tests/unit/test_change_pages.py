"""What the pages on change data show is a config that loads, and tests that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.pages import ROOT

from medallion_jobs.config import load
from medallion_jobs.config.apply_changes import ApplyChanges
from medallion_jobs.config.snapshot import Snapshot

NAMES = ("apply_changes", "envelopes", "snapshots")
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in NAMES}
BRONZE = "bronze:\n  customers_changes:\n    source: {format: json, schema: id int}\n"


def examples() -> Iterator[Any]:
    for name, page in PAGES.items():
        for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL), 1):
            yield pytest.param(text, id=f"{name} {number}")


@pytest.mark.parametrize("text", [*examples()])
def test_an_example_is_a_config(tmp_path: Path, text: str) -> None:
    file = tmp_path / "shown.yaml"
    bronze = "" if "bronze:" in text else BRONZE
    file.write_text(f"pipeline: shown\n{bronze}{text}")
    loaded = load(file, environ={}).pipeline
    (table,) = loaded.silver.values()
    assert table.apply_changes or table.snapshot
    assert {str(name) for name in [table.from_]} == {f"bronze.{name}" for name in loaded.bronze}


@pytest.mark.parametrize(
    ("page", "model"), [("apply_changes", ApplyChanges), ("snapshots", Snapshot)]
)
def test_every_key_is_in_the_table_of_its_page(page: str, model: Any) -> None:
    rows = " ".join(re.findall(r"^\| (`.*?) \|", PAGES[page], re.MULTILINE))
    assert {*model.model_fields} <= {*re.findall(r"`(\w+)`", rows)}


def test_tests_that_are_named_exist() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    named = {*re.findall(r"`(test_\w+)`", PAGES["envelopes"])}
    assert len(named) > 3
    assert [name for name in named if f"def {name}(" not in code] == []
