"""A look at the source, again and again, as a run that goes on for days does it. No JVM."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medallion_jobs.autoloader import AutoLoader
from medallion_jobs.autoloader.cleaning.cleanup import Cleaned
from medallion_jobs.config import made_of


@pytest.fixture
def loader(tmp_path: Path) -> AutoLoader:
    (tmp_path / "in").mkdir()
    source = {"format": "json", "path": str(tmp_path / "in"), "min_age": "1ms"}
    storage = {"root": str(tmp_path / "lake")}
    values = {"pipeline": "p", "storage": storage, "bronze": {"t": {"source": source}}}
    made = AutoLoader.to_table(made_of(values, "a test"), "t")
    made.ledger.ensure()
    return made


def land(path: Path) -> None:
    """Lands a file that nobody is writing any more."""
    path.write_text("{}")
    os.utime(path, (1_700_000_000, 1_700_000_000))


def test_a_landing_folder_that_takes_no_registration_is_told_once(
    loader: AutoLoader, tmp_path: Path
) -> None:
    (tmp_path / "in" / "_medallion").symlink_to(tmp_path)
    assert ["not registered" in remark for remark in loader.poll()] == [True]
    assert list(loader.poll()) == []


def test_the_source_is_cleaned_now_and_then_and_on_until_nothing_is_due(
    loader: AutoLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = [Cleaned(waiting=5), Cleaned(waiting=0), Cleaned(waiting=0)]
    monkeypatch.setattr(loader.cleaner, "clean", lambda _: rounds.pop(0))
    left = []
    for _ in range(4):
        loader.poll()
        left.append(len(rounds))
    assert left == [2, 1, 1, 1]


def test_what_waits_can_be_looked_through_while_more_is_found(
    loader: AutoLoader, tmp_path: Path
) -> None:
    land(tmp_path / "in" / "a")
    land(tmp_path / "in" / "b")
    loader.poll()
    seen = []
    for file in loader.ledger.waiting():
        seen.append(file)
        land(tmp_path / "in" / f"more-{len(seen)}")
        loader.poll()
    assert len(seen) == 2
    assert len(loader.ledger.waiting()) == 4
