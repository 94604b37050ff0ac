"""Which tables of a run start, before there is a JVM."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from medallion_jobs import bronze, gold, silver
from medallion_jobs.checkpoint import Lock, QueryFolder, lock
from medallion_jobs.config import Pipeline, TableRef, pipeline_from_values
from medallion_jobs.engine import runner, session
from medallion_jobs.errors import LockHeld, MedallionError, TransientError, UsageError
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.observe.events import Event, RunSummary, TableFailed, as_json, as_line

NAMES = ("a", "b", "c")


class JvmStartedError(Exception):
    """The run went on to its session."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Three branches, each of bronze, silver and gold."""

    def build(*_: object, **__: object) -> None:
        raise JvmStartedError

    monkeypatch.setattr(session, "build", build)
    for name in NAMES:
        (tmp_path / "landing" / name).mkdir(parents=True)
    measures = {"group_by": ["id"], "measures": {"n": "count(*)"}}
    return pipeline_from_values(
        {
            "pipeline": "shop",
            "storage": {"root": str(tmp_path / "lake")},
            "landing": {"root": str(tmp_path / "landing")},
            "bronze": {n: {"source": {"format": "json", "schema": "id BIGINT"}} for n in NAMES},
            "silver": {n: {"from": f"bronze.{n}"} for n in NAMES},
            "gold": {n: {"from": f"silver.{n}", **measures} for n in NAMES},
        },
        "a test",
    )


def folder(config: Pipeline, table: str) -> QueryFolder:
    return QueryFolder.of(TablePaths(config, TableRef.parse(table)))


def ended(config: Pipeline, events: list[Event], interval: float | None = None) -> Exception:
    """The error that a run ends with."""
    streams = [stream for job in (bronze, silver, gold) for stream in job.streams(config)]
    with pytest.raises((MedallionError, JvmStartedError)) as raised:
        runner.run(config, streams, events.append, continuous=interval)
    return raised.value


def held(config: Pipeline, tables: Sequence[str]) -> ExitStack:
    locks = ExitStack()
    for table in tables:
        locks.enter_context(Lock(folder(config, table).lock, table))
    return locks


def test_the_others_start_where_one_is_refused(shop: Pipeline) -> None:
    events: list[Event] = []
    with held(shop, ["silver.b"]):
        assert isinstance(ended(shop, events), JvmStartedError)
    assert [e.table for e in events if isinstance(e, TableFailed)] == ["silver.b"]
    assert not [e for e in events if isinstance(e, RunSummary)]
    assert "gold.b" in as_line(events[-1])
    assert "silver.b failed" in as_line(events[-1])


def test_no_jvm_starts_where_all_are_refused(shop: Pipeline) -> None:
    events: list[Event] = []
    with held(shop, [f"bronze.{name}" for name in NAMES]):
        error = ended(shop, events)
    assert isinstance(error, TransientError)
    assert (error.code, error.exit_code) == ("tables_failed", 75)  # each is held, and may pass
    assert isinstance(error.__cause__, LockHeld)
    assert isinstance(events[-1], RunSummary)
    assert len(events[-1].not_run) == 6
    assert events[-1].done == ()
    assert as_line(events[-1]).startswith(f"{'run':<28} 3 failed: bronze.a (query_already_running)")
    assert '"event": "summary"' in as_json(events[-1])


@pytest.mark.parametrize("interval", [None, 1.0])
def test_the_worst_exit_code_wins(shop: Pipeline, interval: float | None) -> None:
    manifest = folder(shop, "bronze.b").manifest
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{")
    (Path(shop.landing_paths("c")[0])).rmdir()
    with held(shop, ["bronze.a"]):
        error = ended(shop, [], interval)
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert "3 of 9 tables failed" in error.what
    for part in ("bronze.a is already running", "manifest", "there is no landing folder"):
        assert part in error.what
    for table in ("bronze.a", "bronze.b", "bronze.c"):
        assert f"{table}: " in error.next_step


def test_one_that_is_refused_frees_its_lock_at_once(shop: Pipeline) -> None:
    manifest = folder(shop, "bronze.b").manifest
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{")
    streams = bronze.streams(shop)
    from medallion_jobs.engine.query import StopSwitch
    from medallion_jobs.engine.supervisor import Supervisor

    with Supervisor([].append, StopSwitch()).admitted(streams) as running:
        assert [str(query.ref) for query in running] == ["bronze.a", "bronze.c"]
        assert lock.is_running(folder(shop, "bronze.a").lock)
        assert not lock.is_running(folder(shop, "bronze.b").lock)
    assert not lock.is_running(folder(shop, "bronze.a").lock)


def test_a_continuous_run_may_ask_for_all_or_none(shop: Pipeline) -> None:
    strict = shop.model_copy(
        update={
            "trigger": shop.trigger.model_copy(
                update={"restart": shop.trigger.restart.model_copy(update={"on_give_up": "stop"})}
            )
        }
    )
    with held(strict, ["silver.b"]):
        assert isinstance(ended(strict, [], 1.0), LockHeld)
        assert isinstance(ended(strict, [], None), JvmStartedError)
        assert isinstance(ended(shop, [], 1.0), JvmStartedError)
