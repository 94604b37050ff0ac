"""Reset: which generation comes next, whatever is left of the state."""

from __future__ import annotations

import shutil

import pytest
from lakes import BRONZE, GOLD, SILVER, Lake

from medallion_jobs.checkpoint import check, manifest
from medallion_jobs.checkpoint.reset import Reset, plan
from medallion_jobs.config import TableRef

pytestmark = pytest.mark.usefixtures("ran")


def planned(lake: Lake) -> Reset:
    return plan(lake.home(GOLD), lake.path(GOLD))


def starts_as(lake: Lake) -> int:
    """The generation as which gold passes the start checks."""
    return check(lake.claim(GOLD)).generation


def test_a_query_that_ran_gets_the_next_generation(lake: Lake) -> None:
    one = planned(lake)
    assert (one.before, one.after) == (1, 2)
    one.carry_out("why not")
    told = manifest.read(lake.home(GOLD))
    assert told
    assert [g.reason for g in told.generations] == ["first start", "why not"]
    assert told.generations[0].binding
    assert starts_as(lake) == 2


def test_planning_writes_nothing_and_carrying_out_only_the_manifest(lake: Lake) -> None:
    before = lake.files()
    one = planned(lake)
    assert lake.files() == before
    one.carry_out("why not")
    after = lake.files()
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == [
        str(lake.home(GOLD).manifest.relative_to(lake.root))
    ]


def test_resets_add_up(lake: Lake) -> None:
    for number in (2, 3, 4):
        planned(lake).carry_out("again")
        assert starts_as(lake) == number


@pytest.mark.parametrize("damage", ["removed", "unreadable"])
def test_without_a_manifest_the_folders_tell(lake: Lake, damage: str) -> None:
    home = lake.home(GOLD)
    (home.path / "v7").mkdir()
    if damage == "removed":
        home.manifest.unlink()
    else:
        home.manifest.write_text("{")
    one = planned(lake)
    assert (one.before, one.after) == (7, 8)
    one.carry_out("manifest lost")
    assert starts_as(lake) == 8


@pytest.mark.parametrize(("used", "after"), [((), 2), ((2,), 3), ((2, 3), 4)])
def test_without_any_state_the_table_tells(lake: Lake, used: tuple[int, ...], after: int) -> None:
    """A number that the table has seen would make Delta drop the first batches."""
    for number in used:
        lake.write(GOLD, 5, generation=number)
    shutil.rmtree(lake.home(GOLD).path)
    one = planned(lake)
    assert (one.before, one.after) == (0, after)
    one.carry_out("the state was removed")
    assert starts_as(lake) == after


def test_a_folder_that_the_manifest_does_not_know_is_not_used_again(lake: Lake) -> None:
    (lake.home(GOLD).path / "v3").mkdir()
    assert planned(lake).after == 4


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        (BRONZE, "only files that the table lacks"),
        (SILVER, "rebuilds the table"),
        (GOLD, "rebuilds the table"),
    ],
)
def test_the_effect_is_told_by_layer(lake: Lake, ref: TableRef, words: str) -> None:
    assert words in plan(lake.home(ref), lake.path(ref)).effect
