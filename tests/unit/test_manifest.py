"""The manifest: what a query read and wrote, generation by generation."""

from __future__ import annotations

import getpass
import json
import socket
from datetime import datetime, timedelta, timezone
from importlib.metadata import version

import pytest
from lakes import GOLD, Lake
from pydantic import ValidationError

from medallion_jobs.checkpoint import Binding, Logic, Stale, manifest
from medallion_jobs.errors import Refused

BOUND = Binding(
    source="silver.sales", source_id="s", target_id="t", logic=Logic(state={"mode": "complete"})
)


def test_there_is_none_before_the_first_start(lake: Lake) -> None:
    assert manifest.read(lake.home(GOLD)) is None


def test_what_was_written_is_read(lake: Lake) -> None:
    home = lake.home(GOLD)
    told = manifest.first(home).binding(BOUND).opening(2, "a bug in silver")
    manifest.write(home, told)
    assert manifest.read(home) == told
    assert json.loads(home.manifest.read_bytes())["generations"][1]["reason"] == "a bug in silver"


def test_a_generation_says_when_by_whom_and_with_what_it_was_opened(lake: Lake) -> None:
    opened = manifest.first(lake.home(GOLD)).current
    assert (opened.number, opened.binding) == (1, None)
    assert opened.opened_by == f"{getpass.getuser()}@{socket.gethostname()}"
    assert timedelta(0) <= datetime.now(timezone.utc) - opened.opened_at < timedelta(minutes=1)
    assert opened.versions["spark"] == version("pyspark")
    assert opened.versions["delta"] == version("delta-spark")
    assert opened.versions["medallion_jobs"]


def test_opening_keeps_what_was_and_starts_unbound(lake: Lake) -> None:
    before = manifest.first(lake.home(GOLD)).binding(BOUND)
    after = before.opening(2, "why not")
    assert after.generations[0] == before.current
    assert (after.current.number, after.current.binding) == (2, None)
    assert len(before.generations) == 1


def test_binding_changes_only_the_current_generation(lake: Lake) -> None:
    before = manifest.first(lake.home(GOLD)).binding(BOUND).opening(2, "again")
    other = BOUND.model_copy(update={"target_id": "u"})
    after = before.binding(other)
    assert after.generations[0] == before.generations[0]
    assert after.current.binding == other
    assert after.current.opened_at == before.current.opened_at


def test_a_changed_logic_is_kept_until_a_new_generation_opens(lake: Lake) -> None:
    old = BOUND.model_copy(update={"logic": Logic(free={"where": "a"})})
    new = BOUND.model_copy(update={"logic": Logic(free={"where": "b"})})
    home = lake.home(GOLD)
    changed = manifest.first(home).binding(old).binding(new, 5)
    manifest.write(home, changed.binding(new, 9))
    read = manifest.read(home)
    assert read
    assert read.current.stale == [Stale("where", "a", "b", 0, 5)]
    assert read.opening(2, "rebuilt").current.stale == []


def test_one_of_an_earlier_version_has_no_history(lake: Lake) -> None:
    home = lake.home(GOLD)
    manifest.write(home, manifest.first(home).binding(BOUND))
    stored = json.loads(home.manifest.read_bytes())
    for generation in stored["generations"]:
        del generation["history"]
        for added in ("settings", "names_all"):
            del generation["binding"]["logic"][added]
    home.manifest.write_text(json.dumps(stored))
    read = manifest.read(home)
    assert read
    assert (read.current.stale, read.current.binding) == ([], BOUND)


def test_a_manifest_cannot_be_altered_in_place(lake: Lake) -> None:
    told = manifest.first(lake.home(GOLD))
    with pytest.raises(ValidationError):
        told.query = "gold.other"  # type: ignore[misc]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"query": "gold.x"}', "\x00" * 20])
def test_one_that_cannot_be_read_is_refused_and_stays(lake: Lake, text: str) -> None:
    home = lake.home(GOLD)
    home.path.mkdir(parents=True)
    home.manifest.write_text(text)
    with pytest.raises(Refused) as refused:
        manifest.read(home)
    assert str(home.manifest) in refused.value.what
    assert f"medallion checkpoint reset {GOLD}" in refused.value.next_step
    assert home.manifest.read_text() == text


@pytest.mark.parametrize(
    ("newest", "number", "reason"), [(0, 1, "no checkpoint"), (3, 3, "manifest is gone")]
)
def test_a_lost_one_is_made_up_to_the_newest_generation(
    lake: Lake, newest: int, number: int, reason: str
) -> None:
    made = manifest.lost(lake.home(GOLD), newest).current
    assert made.number == number
    assert reason in made.reason
