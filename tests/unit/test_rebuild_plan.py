"""What `medallion rebuild` shows before it acts, and what it means for starts; no JVM."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pyarrow as pa
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake
from lakes import BRONZE, GOLD, SILVER, Lake, Medallion, batch_done, write_table

from medallion_jobs import observe
from medallion_jobs.checkpoint import Lock, journal, manifest, rebuilds, start_checks
from medallion_jobs.checkpoint.journal import Journal, Phase
from medallion_jobs.config import TableRef

pytestmark = pytest.mark.usefixtures("ran")
REASON = ("--reason", "a bug")


def under_way(lake: Lake, ref: TableRef, phase: Phase, **more: object) -> Journal:
    made = Journal(
        table=str(ref),
        phase=phase,
        reason="a bug",
        by="ada@host",
        started_at=datetime(2026, 1, 31, tzinfo=timezone.utc),
        before=1,
        after=2,
        config_before="a",
        config_after="b",
    ).model_copy(update=more)
    journal.write(lake.config, ref, made)
    return made


def codes(lake: Lake, ref: TableRef) -> list[str]:
    return [finding.code for finding in start_checks.findings(lake.claim(ref))]


def test_the_plan_says_what_is_read_and_for_whom_it_matters(
    lake: Lake, medallion: Medallion
) -> None:
    observe.BatchTable(lake.paths(SILVER).metrics).append(batch_done(SILVER, 0, seconds=2), 1, "r")
    before = lake.files()
    with Lock(lake.home(SILVER).lock, str(SILVER)):
        answer = medallion("rebuild", str(SILVER), *REASON)
    assert answer.code == 0
    assert "silver.sales: reads 3 rows of bronze.sales (1 file, " in answer.out
    assert "about 6 s by the last batches" in answer.out
    assert "then replaces its 3 rows by one commit" in answer.out
    assert "is running, and must end before the swap: pid" in answer.out
    assert f"{GOLD} reads it and cannot go on" in answer.out
    assert "add --yes" in answer.err
    assert lake.files() == before

    answer = medallion("rebuild", str(SILVER), "--downstream", "--json", *REASON)
    plans = json.loads(answer.out)
    assert [plan["source_rows"] for plan in plans] == [3, 3]
    assert medallion("rebuild", str(SILVER)).code == 2  # without a reason
    assert medallion("rebuild", str(BRONZE), *REASON).code == 2


def test_nothing_starts_in_the_middle_of_a_swap(lake: Lake, medallion: Medallion) -> None:
    for phase in ("waiting", "building", "swapped"):
        under_way(lake, SILVER, phase)  # type: ignore[arg-type]
        assert codes(lake, SILVER) == []
    under_way(lake, SILVER, "swapping")
    assert codes(lake, SILVER) == ["rebuild_interrupted"]
    for words in (("checkpoint", "reset"), ("rebuild", "--abandon")):
        answer = medallion(*words, str(SILVER), *REASON, "--yes")
        assert answer.code == 1
        assert f'medallion rebuild {SILVER} --reason "…" --yes' in answer.err
    under_way(lake, SILVER, "swapping", goes_back=True)
    assert "medallion checkpoint rollback" in medallion("status").out


def test_status_shows_it_and_it_can_be_abandoned(lake: Lake, medallion: Medallion) -> None:
    under_way(lake, GOLD, "waiting", together=(str(SILVER), str(GOLD)))
    shown = medallion("rebuild", str(SILVER), "--downstream", *REASON).out
    assert f"{SILVER}: was done before the interruption" in shown
    assert f"{GOLD}: reads 3 rows" in shown
    another = medallion("rebuild", str(SILVER), "--downstream", "--reason", "another").out
    assert f"{SILVER}: reads 3 rows" in another
    assert medallion("rebuild", str(GOLD), "--abandon").code == 0

    under_way(lake, SILVER, "building")
    write_table(lake.root / "lake/_medallion/slots/rebuild/silver/sales")
    shown = medallion("status").out
    assert "rebuild: silver.sales: building, begun by ada@host" in shown
    assert 'medallion rebuild silver.sales --reason "…" --yes' in shown
    with Lock(lake.home(SILVER).rebuild_lock, "a rebuild"):
        assert "interrupted" not in medallion("status").out
        assert medallion("rebuild", str(SILVER), "--abandon").code == 75
    plan = medallion("rebuild", str(SILVER), "--downstream", *REASON).out
    assert "goes on with the rebuild that ada@host began" in plan
    assert f"{GOLD}: reads 3 rows" in plan

    assert "was removed" in medallion("rebuild", str(SILVER), "--abandon").out
    assert not list((lake.root / "lake/_medallion/slots").rglob("*.parquet"))
    assert journal.read(lake.config, SILVER) is None
    assert "no rebuild is under way" in medallion("rebuild", str(SILVER), "--abandon").out


def test_a_reader_of_a_table_that_was_rebuilt_is_refused(lake: Lake) -> None:
    write_deltalake(
        lake.path(SILVER),
        pa.table({"n": pa.array([1], pa.int64())}),
        mode="append",
        commit_properties=CommitProperties(
            app_transactions=[Transaction(rebuilds(str(SILVER)), 0)]
        ),
    )
    assert codes(lake, SILVER) == []
    assert codes(lake, GOLD) == ["source_rebuilt"]
    recorded = manifest.read(lake.home(GOLD))
    assert recorded is not None
    bound = recorded.current.binding
    assert bound is not None
    known = recorded.binding(bound.model_copy(update={"source_rebuilds": 0}))
    manifest.write(lake.home(GOLD), known)
    assert codes(lake, GOLD) == []
