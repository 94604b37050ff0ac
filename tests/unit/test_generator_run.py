"""A run of the generator: files put in place whole, accounted for, at the pace asked for."""

import errno
import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.generator import FEEDS, FileCounts, Plan, Summary, generate

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
SALES = FEEDS["sales"]


@dataclass
class FakeTime:
    """A clock that moves when somebody waits; each file may take some seconds, too."""

    now: float = 100.0
    seconds_a_file: float = 0.0
    stop_at: float | None = None

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.stop_at is not None and self.now >= self.stop_at

    def spend(self, _: FileCounts) -> None:
        self.now += self.seconds_a_file


def plan(**changes: object) -> Plan:
    return Plan(**{"seed": 7, "now": NOW, "files": 3, "rows": 10, **changes})  # type: ignore[arg-type]


def run(root: Path, wanted: Plan, time: FakeTime | None = None) -> Summary:
    time = time or FakeTime()
    return generate(
        SALES,
        wanted,
        landing={"sales": root / "sales"},
        summaries=root / "_generated",
        on_file=time.spend,
        clock=time.clock,
        wait=time.wait,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_folders_get_the_same_files(tmp_path: Path) -> None:
    wanted = plan(dirty=0.5, new_column_from=2)
    run(tmp_path / "a", wanted)
    run(tmp_path / "b", wanted)
    assert contents(tmp_path / "a" / "sales") == contents(tmp_path / "b" / "sales")
    assert len(contents(tmp_path / "a" / "sales")) == 3


def test_more_files_of_a_seed_go_on_where_fewer_ended(tmp_path: Path) -> None:
    first = run(tmp_path, plan(files=2))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "sales").iterdir()}
    more = run(tmp_path, plan(files=5))
    assert [file.already_there for file in more.files] == [True, True, False, False, False]
    assert more.files[0].name == first.files[0].name
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert more.totals["already_there"] == 2


def test_the_summary_on_disk_accounts_for_every_file(tmp_path: Path) -> None:
    summary = run(tmp_path, plan(rows=200, dirty=0.3, new_column_from=3))
    [path] = (tmp_path / "_generated").iterdir()
    assert path.name == summary.files[0].name
    told = json.loads(path.read_bytes())
    assert told == json.loads(summary.to_json())
    assert (told["seed"], told["now"]) == (7, "2026-01-31T12:00:00Z")
    assert {file["name"] for file in told["files"]} == contents(tmp_path / "sales").keys()
    assert [file["new_column"] > 0 for file in told["files"]] == [False, False, True]
    for kind in ("lines", "clean", *SALES.kinds, "new_column"):
        assert told["totals"][kind] == sum(file[kind] for file in told["files"])
    assert told["totals"]["lines"] == 600
    assert told["totals"]["dirty"] == 600 - told["totals"]["clean"] > 0


def test_a_shorter_run_of_the_same_seed_does_not_lose_the_longer_ones_books(
    tmp_path: Path,
) -> None:
    longer = run(tmp_path, plan(files=5))
    run(tmp_path, plan(files=2))
    [path] = (tmp_path / "_generated").iterdir()
    assert len(json.loads(path.read_bytes())["files"]) == len(longer.files)


def test_no_files_leaves_the_landing_folder_alone(tmp_path: Path) -> None:
    assert run(tmp_path, plan(files=0)).totals["files"] == 0
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_under_its_name_only_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sales"
    seen: list[tuple[Path, list[Path]]] = []
    replace = Path.replace

    def watched(partial: Path, final: Path) -> Path:
        if partial.parent != folder:  # the summary
            return replace(partial, final)
        assert partial.read_bytes().count(b"\n") == 10
        assert partial.parent == final.parent == folder
        assert partial.name.startswith(".")
        seen.append((final, [path for path in folder.iterdir() if path.name[0] != "."]))
        return replace(partial, final)

    monkeypatch.setattr(Path, "replace", watched)
    run(tmp_path, plan())
    assert len(seen) == 3
    assert all(final not in visible for final, visible in seen)
    assert not [name for name in contents(folder) if name.startswith(".")]


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, TransientError), (errno.EROFS, UsageError)]
)
def test_a_disk_that_fails_leaves_whole_files_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    write_bytes = Path.write_bytes
    calls = iter(range(3))

    def failing(path: Path, content: bytes) -> int:
        if next(calls) < 1:
            return write_bytes(path, content)
        write_bytes(path, content[:5])
        raise OSError(code, "the disk says no", str(path))

    with monkeypatch.context() as patch, pytest.raises(kind) as failed:
        patch.setattr(Path, "write_bytes", failing)
        run(tmp_path, plan())
    assert type(failed.value) is kind
    assert "1 file" in str(failed.value)
    assert "--seed 7 --now 2026-01-31T12:00:00Z" in str(failed.value)
    assert [text.count(b"\n") for text in contents(tmp_path / "sales").values()] == [10]

    assert run(tmp_path, plan()).totals == {
        **run(tmp_path / "b", plan()).totals,
        "already_there": 1,
    }


def test_a_landing_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "sales").write_text("mine")
    with pytest.raises(UsageError) as refused:
        run(tmp_path, plan())
    assert str(tmp_path / "sales") in refused.value.what
    assert (tmp_path / "sales").read_text() == "mine"


def test_a_landed_file_that_somebody_changed_is_never_overwritten(tmp_path: Path) -> None:
    name = run(tmp_path, plan()).files[1].name
    (tmp_path / "sales" / name).write_text("mine")
    with pytest.raises(UsageError) as refused:
        run(tmp_path, plan())
    assert name in refused.value.what
    assert (tmp_path / "sales" / name).read_text() == "mine"


def test_a_rate_holds_to_its_schedule(tmp_path: Path) -> None:
    time = FakeTime(seconds_a_file=0.3)
    summary = run(tmp_path, plan(files=None, rate=20, duration=5), time)
    # 10 rows a file at 20 rows a second: a file each half second, the last at the very end.
    assert summary.totals["files"] == 10
    assert time.now == pytest.approx(100 + 5 + 0.3)
    assert summary.behind_seconds == pytest.approx(0.3)
    assert summary.plan.order(4).now == NOW + timedelta(seconds=2)


def test_after_a_delay_files_catch_up_with_the_schedule(tmp_path: Path) -> None:
    time = FakeTime()
    landed: list[float] = []

    def stall_once(_: FileCounts) -> None:
        landed.append(time.now - 100)
        if len(landed) == 2:
            time.now += 1.2

    summary = generate(
        SALES,
        plan(files=6, rate=20),
        landing={"sales": tmp_path / "sales"},
        summaries=tmp_path / "_generated",
        on_file=stall_once,
        clock=time.clock,
        wait=time.wait,
    )
    assert landed == pytest.approx([0.5, 1.0, 2.2, 2.2, 2.5, 3.0])
    assert summary.behind_seconds == pytest.approx(1.2)


def test_a_machine_that_cannot_keep_up_ends_in_time_and_says_so(tmp_path: Path) -> None:
    summary = run(tmp_path, plan(files=None, rate=20, duration=5), FakeTime(seconds_a_file=1.0))
    assert summary.totals["files"] == 5
    assert summary.seconds == pytest.approx(5.5)
    assert summary.rows_per_second < 20
    assert summary.behind_seconds == pytest.approx(3.0)


def test_files_bound_a_rate_as_well(tmp_path: Path) -> None:
    assert run(tmp_path / "a", plan(files=4, rate=20)).totals["files"] == 4
    assert run(tmp_path / "b", plan(files=4, rate=20, duration=1)).totals["files"] == 2


def test_when_asked_to_stop_it_accounts_for_what_is_there(tmp_path: Path) -> None:
    summary = run(tmp_path, plan(files=10, rate=20), FakeTime(stop_at=101.4))
    assert summary.stopped
    assert summary.totals["files"] == 2
    assert len(contents(tmp_path / "sales")) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"files": -1},
        {"rows": 0},
        {"rows": 1_000_001},
        {"customers": 1_000_001},
        {"customers": 0},
        {"dirty": 1.1},
        {"dirty": float("nan")},
        {"new_column_from": 0},
        {"rate": 0},
        {"rate": float("inf")},
        {"rate": 5, "duration": 0},
        {"duration": 5},
        {"files": None},
        {"rate": 1e-9},
        {"rate": 1, "duration": 5},
        {"now": NOW.replace(year=9998)},
        {"now": NOW.replace(tzinfo=None)},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        plan(**wrong)
