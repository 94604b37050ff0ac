"""The start checks: which states may go on, and which are refused with what to type."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import harms
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakes import GOLD, SILVER, Lake, touch_batches, write_table

from medallion_jobs.checkpoint import Change, Claim, Logic, StartPoint, check, manifest
from medallion_jobs.checkpoint.start_checks import findings
from medallion_jobs.errors import Refused

SUM = Logic(
    state={"group_by": "region, order_date", "measures.total": "sum(quantity)"},
    free={"comment": "as it was"},
)
RESET = f"medallion checkpoint reset {GOLD} --reason"
REBUILD = f"medallion rebuild {GOLD} --reason"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Gold reads silver, whose table is there."""
    lake = Lake(tmp_path, SUM)
    write_table(lake.source(GOLD))
    return lake


@pytest.fixture(scope="module")
def _ran_once(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("ran"), SUM)
    write_table(lake.source(GOLD))
    lake.run(GOLD, 4)
    return lake


@pytest.fixture
def ran(tmp_path: Path, _ran_once: Lake) -> Lake:
    """Gold after four finished batches."""
    lake = Lake(tmp_path, SUM)
    lake.take_over(_ran_once)
    return lake


def passes(lake: Lake, what: Claim | None = None) -> StartPoint:
    return check(what or lake.claim(GOLD))


def refused(lake: Lake, what: Claim | None = None, instead: str = RESET) -> Refused:
    """The refusal; it names the table, says what to type and has touched nothing."""
    before = lake.files()
    with pytest.raises(Refused) as caught:
        passes(lake, what)
    assert lake.files() == before
    assert caught.value.exit_code == 1
    assert str(GOLD) in caught.value.what
    assert instead in caught.value.next_step
    assert caught.value.untouched
    return caught.value


# --- a query that may start


def test_a_first_start_passes_and_writes_nothing(lake: Lake) -> None:
    before = lake.files()
    start_point = passes(lake)
    assert (start_point.generation, start_point.last_written) == (1, -1)
    assert start_point.checkpoint.app_id == f"{GOLD}/v1"
    assert not start_point.changed
    assert lake.files() == before


def test_a_finished_query_passes_with_what_it_wrote(ran: Lake) -> None:
    assert passes(ran).last_written == 3


@pytest.mark.parametrize("bound", [False, True])
def test_a_run_killed_before_its_first_batch_passes(lake: Lake, bound: bool) -> None:
    write_table(lake.path(GOLD), rows=0)
    if bound:
        lake.bind(GOLD)
    assert passes(lake).last_written == -1


def test_a_batch_in_the_table_that_spark_did_not_note_passes(ran: Lake) -> None:
    (ran.home(GOLD).checkpoint(1).path / "commits" / "3").unlink()
    assert passes(ran).last_written == 3


def test_a_generation_that_a_reset_opened_passes_although_the_table_has_rows(ran: Lake) -> None:
    ran.reset(GOLD)
    start_point = passes(ran)
    assert (start_point.generation, start_point.last_written) == (2, -1)
    assert start_point.checkpoint.path.name == "v2"


def test_new_free_logic_passes_and_is_told(ran: Lake) -> None:
    free = {"comment": "another", "new": "x"}
    new = replace(ran.claim(GOLD), logic=Logic(state=SUM.state, free=free))
    start_point = passes(ran, new)
    assert start_point.changed == [
        Change("comment", "as it was", "another", "rows"),
        Change("new", "", "x", "rows"),
    ]
    news = start_point.news_for(new)
    assert news.startswith("comment: 'as it was' became 'another'; new: 'x' is new; ")
    assert "rows before batch 4 keep the old logic" in news
    assert REBUILD in news


def test_a_reset_bears_any_new_logic(ran: Lake) -> None:
    ran.reset(GOLD)
    assert (
        passes(ran, replace(ran.claim(GOLD), logic=Logic(state={"group_by": "x"}))).generation == 2
    )


def test_leftovers_of_a_cut_off_first_batch_are_removed(lake: Lake) -> None:
    write_table(lake.path(GOLD), rows=0)
    lake.bind(GOLD)
    folder = lake.home(GOLD).checkpoint(1).path / "offsets"
    folder.mkdir(parents=True)
    leftovers = {folder / ".0.6f1c.tmp", folder / "..0.6f1c.tmp.crc"}
    for leftover in leftovers:
        leftover.write_text("cut o")
    (folder.parent / "metadata").write_text("{}")
    assert set(passes(lake).repaired) == leftovers
    assert [p.name for p in folder.parent.rglob("*") if p.is_file()] == ["metadata"]


def test_no_leftovers_are_removed_once_a_batch_was_planned(ran: Lake) -> None:
    leftover = ran.home(GOLD).checkpoint(1).path / "offsets" / ".4.6f1c.tmp"
    leftover.write_text("cut o")
    assert passes(ran).repaired == ()
    assert leftover.exists()


def test_a_refusal_removes_no_leftovers(ran: Lake) -> None:
    folder = ran.home(GOLD).checkpoint(1).path
    shutil.rmtree(folder)
    (folder / "offsets").mkdir(parents=True)
    (folder / "offsets" / ".0.6f1c.tmp").write_text("cut o")
    refused(ran)


# --- a query that is refused: what was done to a finished one, and the words that tell


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (harms.remove_all_state, ("12 rows", "checkpoint is gone", "manifest.json", "duplicate")),
        (harms.remove_manifest, ("manifest is gone", "v1", "manifest.json")),
        (harms.remove_table, ("table was removed", "batch 3", "missing")),
        (harms.make_table_anew, ("not the recorded one", " id ")),
        (harms.remove_checkpoint, ("checkpoint is gone", "batch 3", "v1", "again")),
        (harms.put_older_checkpoint_back, ("older checkpoint", "batch 3", "batch 1")),
        (harms.lose_the_end_of_the_log, ("up to 2", "finished batch 3", "restored")),
        (harms.make_source_anew, ("silver.sales is not the recorded table", " id ")),
        (harms.remove_source, ("its source is gone", "silver")),
        (harms.lose_the_end_of_the_sources_log, ("up to version 1", "newest is version 0")),
        (harms.put_unbound_manifest_back, ("v2 never ran", "older manifest")),
        (harms.put_manifest_of_v1_back, ("ends with", "v2 has run", "older manifest")),
        (harms.put_all_state_of_v1_back, ("ends with", "v2 has run", "older manifest")),
    ],
)
def test_refused(ran: Lake, harm: Callable[[Lake], None], words: tuple[str, ...]) -> None:
    harm(ran)
    told = refused(ran).what
    for word in words:
        assert word in told


def test_a_table_with_rows_that_was_there_before_the_first_start_is_refused(lake: Lake) -> None:
    write_table(lake.path(GOLD), rows=1_234)
    assert "1,234 rows" in refused(lake).what


def test_rows_that_appear_before_a_bound_first_start_are_refused(lake: Lake) -> None:
    manifest.write(lake.home(GOLD), manifest.first(lake.home(GOLD)))
    write_table(lake.path(GOLD))
    assert "it has no checkpoint" in refused(lake).what


def test_another_source_is_refused(ran: Lake) -> None:
    told = refused(ran, replace(ran.claim(GOLD), source="silver.other")).what
    assert "silver.other now" in told
    assert f"read {SILVER} before" in told


@pytest.mark.parametrize(
    ("part", "new"),
    [
        ("group_by", "region"),
        ("measures.total", "max(quantity)"),
        ("measures.total", ""),
        ("measures.another", "count(*)"),
    ],
)
def test_logic_that_the_state_cannot_bear_is_refused(ran: Lake, part: str, new: str) -> None:
    state = {name: text for name, text in {**SUM.state, part: new}.items() if text}
    claim = replace(ran.claim(GOLD), logic=Logic(state=state, free=SUM.free))
    finding = refused(ran, claim, REBUILD)
    old = SUM.state.get(part)
    says = f"{old!r} became {new!r}" if old and new else f"{new!r} is new" if new else "was removed"
    assert f"{part}: " in finding.what
    assert says in finding.what
    assert "wrong values" in finding.what
    assert "`medallion plan` shows all" in finding.next_step


def test_a_manifest_that_is_no_manifest_is_refused(ran: Lake) -> None:
    ran.home(GOLD).manifest.write_text('{"query": ')
    told = refused(ran)
    assert str(ran.home(GOLD).manifest) in told.what
    assert "move it away" in told.next_step


def test_a_table_of_another_pipeline_is_refused(ran: Lake) -> None:
    with pytest.raises(Refused) as caught:
        passes(ran, replace(ran.claim(GOLD), pipeline="another"))
    assert f"{GOLD} was not started" in caught.value.what
    assert "another storage.root" in caught.value.next_step


def test_all_findings_are_listed_and_a_start_raises_the_first(ran: Lake) -> None:
    claim = replace(
        ran.claim(GOLD),
        pipeline="another",
        source="silver.other",
        logic=Logic(state={**SUM.state, "group_by": "region"}),
    )
    found = [finding.what for finding in findings(claim)]
    assert [
        reason in text
        for reason, text in zip(("pipeline", "it reads", "became"), found, strict=True)
    ] == [True] * 3
    with pytest.raises(Refused) as caught:
        passes(ran, claim)
    assert caught.value.what == found[0]
    ran.home(GOLD).manifest.write_text("no json")
    assert len(list(findings(claim))) == 1


# --- the invariant itself


@pytest.fixture(scope="module")
def by_txn(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Lake]:
    """Lakes whose gold table holds batches up to -1, 0, 1 … of v1."""
    lakes = {}
    for txn in range(-1, 4):
        lakes[txn] = lake = Lake(tmp_path_factory.mktemp("lake"))
        write_table(lake.source(GOLD))
        if txn < 0:
            write_table(lake.path(GOLD))
        else:
            lake.write(GOLD, txn)
        lake.bind(GOLD)
    return lakes


BATCHES = st.integers(-1, 3)


@given(commits=BATCHES, txn=BATCHES, offsets=BATCHES)
def test_commits_at_most_txn_at_most_offsets(
    by_txn: dict[int, Lake], commits: int, txn: int, offsets: int
) -> None:
    lake = by_txn[txn]
    folder = lake.home(GOLD).checkpoint(1).path
    shutil.rmtree(folder, ignore_errors=True)
    touch_batches(folder / "offsets", offsets)
    touch_batches(folder / "commits", commits)
    if commits <= txn <= offsets:
        assert passes(lake).last_written == txn
    else:
        refused(lake)
