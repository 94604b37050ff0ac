"""Which files are moved away or deleted, which stay, and that nothing is lost on the way."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from lakes import BRONZE

from medallion_jobs.autoloader.archive import cleanup, registrations
from medallion_jobs.autoloader.archive.cleanup import Cleaned, Cleaner, check
from medallion_jobs.autoloader.file_entry import FileEntry, to_path, to_uri
from medallion_jobs.autoloader.ledger.ledger import Ledger
from medallion_jobs.autoloader.ledger.tables import Outcome, State
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Txn

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)
LONG_AGO = NOW - timedelta(days=100)


class Journal:
    """A ledger in a file, so that it outlives a process."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def tell(
        self, files: Sequence[FileEntry], state: State, error: str | None = None, at: datetime = NOW
    ) -> None:
        lines = [
            json.dumps([f.modified_us, f.path, f.size, state.value, error, at.isoformat()]) + "\n"
            for f in files
        ]
        with self.file.open("a") as out:
            out.write("".join(lines))

    note = tell

    def newest(self) -> dict[FileEntry, tuple[State, str | None, datetime]]:
        rows = map(json.loads, self.file.read_text().splitlines() if self.file.exists() else [])
        return {
            FileEntry(at, path, size): (State(state), error, datetime.fromisoformat(when))
            for at, path, size, state, error, when in rows
        }

    def in_state(self, state: State) -> list[FileEntry]:
        return [file for file, (now, _, _) in self.newest().items() if now is state]

    def committed_until(self, moment: datetime) -> list[FileEntry]:
        there = self.newest().items()
        return [f for f, (now, _, at) in there if now is State.COMMITTED and at <= moment]


class Place:
    """A landing folder `landing/sales`, an archive, and a ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.landing = path / "landing" / "sales"
        self.landing.mkdir(parents=True)
        self.archive = path / "archive"
        self.journal = Journal(path / "journal")

    def config(self, mode: str = "delete", **source: Any) -> Pipeline:
        clean = {"mode": mode, "retention": "30d", **source.pop("clean", {})}
        if mode == "move":
            clean = {"move_to": str(self.archive), **clean}
        return Pipeline.model_validate(
            {
                "pipeline": "shop",
                "storage": {"root": str(self.path / "lake")},
                "landing": {"root": str(self.path / "landing")},
                "bronze": {
                    "sales": {"source": {"format": "json", "clean_source": clean, **source}}
                },
            }
        )

    def cleaner(self, mode: str = "delete", most: int = 10_000, **source: Any) -> Cleaner:
        config = self.config(mode, **source)
        for root in config.landing_paths("sales"):
            me = registrations.Reader.of(TablePaths(config, BRONZE))
            assert registrations.register(root, me) is None
        return Cleaner(config, "sales", self.journal, most=most)

    def journal_cleaner(self) -> Cleaner:
        """One that registers nothing."""
        return Cleaner(self.config(), "sales", self.journal)

    def clean(self, mode: str = "delete", **source: Any) -> Cleaned:
        return self.cleaner(mode, **source).clean(NOW)

    def put(self, name: str, text: str = "{}", state: State = State.COMMITTED) -> FileEntry:
        file = self.landing / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        found = seen(file)
        self.journal.tell([found], state, at=LONG_AGO)
        return found

    def told(self, file: FileEntry) -> tuple[State, str | None]:
        return self.journal.newest()[file][:2]


def seen(file: Path) -> FileEntry:
    stat = file.stat()
    return FileEntry(stat.st_mtime_ns // 1000, to_uri(str(file)), stat.st_size)


def there(file: FileEntry) -> bool:
    return os.path.lexists(to_path(file.path))


def files_in(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and ".medallion" not in file.parts
    }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# --- which files


def test_committed_files_past_the_retention_are_deleted_and_no_others(place: Place) -> None:
    due = place.put("a/due.json", "12345")
    recent = place.put("recent.json")
    place.journal.tell(
        [recent], State.COMMITTED, at=NOW - timedelta(days=30) + timedelta(seconds=1)
    )
    others = [
        place.put(f"{s.value}.json", state=s)
        for s in (State.QUARANTINED, State.MISSING, State.SKIPPED, State.ARCHIVED)
    ]
    discovered = place.landing / "discovered.json"
    discovered.write_text("{}")
    done = place.clean()
    assert (done.deleted, done.moved, done.bytes, done.left, done.remarks) == (1, 0, 5, 0, [])
    assert not there(due)
    assert place.told(due) == (State.ARCHIVED, "deleted")
    assert all(map(there, [recent, *others]))
    assert discovered.exists()
    assert (place.landing / "a").is_dir()


def test_off_cleans_nothing(place: Place) -> None:
    due = place.put("a.json")
    begun = place.put("b.json", state=State.ARCHIVING)
    assert place.clean("off") == Cleaned()
    assert there(due)
    assert there(begun)


@pytest.mark.parametrize("mode", ["delete", "move"])
@pytest.mark.parametrize("change", ["size", "time", "link", "folder", "pipe"])
def test_what_changed_since_it_was_read_stays(place: Place, mode: str, change: str) -> None:
    file = place.put("a.json", "old")
    path = place.landing / "a.json"
    if change == "size":
        path.write_text("longer")
        os.utime(path, ns=(0, file.modified_us * 1000))
    elif change == "time":
        os.utime(path, ns=(0, file.modified_us * 1000 + 1000))
    else:
        path.unlink()
        outside = place.path / "outside.json"
        outside.write_text("old")
        os.utime(outside, ns=(0, file.modified_us * 1000))
        {
            "link": lambda: path.symlink_to(outside),
            "folder": path.mkdir,
            "pipe": lambda: os.mkfifo(path),
        }[change]()
    done = place.clean(mode)
    assert (done.deleted, done.moved, done.left) == (0, 0, 1)
    assert ["changed since they were read" in one for one in done.remarks] == [True]
    assert file.path in done.remarks[0]
    assert there(file)
    assert place.told(file)[0] is State.COMMITTED


@pytest.mark.parametrize("mode", ["delete", "move"])
def test_what_changes_after_it_was_noted_stays(place: Place, mode: str) -> None:
    file = place.put("a.json", "old")
    cleaner = place.cleaner(mode)
    note = place.journal.note

    def note_and_overwrite(*args: Any) -> None:
        note(*args)
        (place.landing / "a.json").write_text("newer")

    place.journal.note = note_and_overwrite  # type: ignore[method-assign]
    assert (cleaner.clean(NOW).left, files_in(place.landing)) == (1, {"a.json": "newer"})
    assert place.told(file)[0] is State.ARCHIVING


def test_a_file_that_somebody_else_took_away_is_told_as_gone(place: Place) -> None:
    file = place.put("a.json")
    (place.landing / "a.json").unlink()
    done = place.clean()
    assert (done.deleted, done.bytes) == (0, 0)
    assert "gone already" in done.remarks[0]
    assert place.told(file) == (State.ARCHIVED, "gone already")


def test_a_folder_that_may_not_be_written_to_is_left_without_a_try(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place.put("a.json")
    cleaner = place.cleaner()
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    done = cleaner.clean(NOW)
    assert (done.left, "is not writable" in done.remarks[0]) == (1, True)
    assert place.told(file)[0] is State.COMMITTED


# --- never outside the roots


@pytest.mark.parametrize("mode", ["delete", "move"])
def test_nothing_outside_the_roots_is_touched(place: Place, mode: str) -> None:
    beside = place.path / "landing" / "sales2" / "a.json"
    beside.parent.mkdir()
    beside.write_text("x")
    up = seen(beside)
    dotted = FileEntry(up.modified_us, to_uri(f"{place.landing}/../sales2/a.json"), up.size)
    far = FileEntry(up.modified_us, f"s3a:/{beside}", up.size)
    place.journal.tell([up, dotted, far], State.COMMITTED, at=LONG_AGO)
    done = place.clean(mode)
    assert (done.left, beside.exists()) == (3, True)
    assert ["outside the landing folders" in one for one in done.remarks] == [True]


@pytest.mark.parametrize("mode", ["delete", "move"])
def test_no_symbolic_link_is_followed_below_a_root(place: Place, mode: str) -> None:
    file = place.put("sub/deep/a.json", "x")
    outside = place.path / "outside"
    (place.landing / "sub").rename(outside)
    (place.landing / "sub").symlink_to(outside)
    done = place.clean(mode)
    assert (done.left, files_in(outside)) == (1, {"deep/a.json": "x"})
    assert "symbolic link" in done.remarks[0]
    assert place.told(file)[0] is State.COMMITTED


@pytest.mark.parametrize("mode", ["delete", "move"])
def test_a_folder_that_becomes_a_link_at_the_last_moment_is_not_followed(
    place: Place, mode: str
) -> None:
    place.put("sub/a.json", "x")
    cleaner = place.cleaner(mode)
    outside = place.path / "outside"
    note = place.journal.note

    def note_and_swap(*args: Any) -> None:
        note(*args)
        (place.landing / "sub").rename(outside)
        (place.landing / "sub").symlink_to(outside)

    place.journal.note = note_and_swap  # type: ignore[method-assign]
    assert (cleaner.clean(NOW).left, files_in(outside)) == (1, {"a.json": "x"})


def test_a_root_may_be_a_link_and_a_pattern(place: Place) -> None:
    link = place.path / "link"
    link.symlink_to(place.landing)
    plain, odd = place.put("a b%.json"), place.put("2026-01/ż\n.json")
    cleaner = place.cleaner(path=[str(link / "2026-*"), str(link)])
    assert cleaner.clean(NOW).deleted == 2
    assert not there(plain)
    assert not there(odd)


def test_a_root_that_is_not_mounted_is_not_taken_for_emptied(place: Place) -> None:
    file = place.put("a.json", state=State.ARCHIVING)
    cleaner = place.cleaner()
    place.landing.rename(place.path / "away")
    place.landing.mkdir()
    done = cleaner.clean(NOW)
    assert (done.left, "mounted" in done.remarks[0]) == (1, True)
    assert place.told(file)[0] is State.ARCHIVING


# --- move


def test_files_are_moved_under_the_path_below_their_root(place: Place) -> None:
    first, second = place.put("x/a.json", "1"), place.put("b.json", "22")
    Path(to_path(first.path)).chmod(0o640)
    done = place.clean("move")
    assert (done.moved, done.deleted, done.bytes) == (2, 0, 3)
    assert files_in(place.archive) == {"b.json": "22", "x/a.json": "1"}
    assert files_in(place.landing) == {}
    moved = seen(place.archive / "x" / "a.json")
    assert (moved.modified_us, moved.size) == (first.modified_us, first.size)
    told = place.told(second)
    assert told[0] is State.ARCHIVED
    assert told[1] is not None
    assert told[1].startswith(f"moved to {place.archive}")


def no_link(code: int) -> Callable[..., None]:
    def link(*args: Any, **kwargs: Any) -> None:
        raise OSError(code, os.strerror(code))

    return link


@pytest.mark.parametrize("code", [None, errno.EXDEV, errno.EPERM])
def test_nothing_is_overwritten_at_the_target(
    place: Place, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    if code:
        monkeypatch.setattr(os, "link", no_link(code))
    place.archive.mkdir()
    for name, text in {"a.json": "older", "a.json.1": "oldest", "c.json": "same"}.items():
        (place.archive / name).write_text(text)
    first, second, third = (
        place.put("a.json", "new"),
        place.put("b.json"),
        place.put("c.json", "same"),
    )
    os.utime(place.archive / "c.json", ns=(0, third.modified_us * 1000))
    fourth = place.put("d.json", "mine")
    (place.archive / "d.json").write_text("hers")  # of one size and time, and yet another
    os.utime(place.archive / "d.json", ns=(0, fourth.modified_us * 1000))
    place.put("e.json", "old")
    (place.archive / "e.json").write_text("old")  # of another time
    os.utime(place.archive / "e.json", (0, 0))
    Path(to_path(first.path)).chmod(0o640)
    done = place.clean("move")
    assert (done.moved, done.left, done.remarks) == (5, 0, [])
    assert files_in(place.archive) == {
        "a.json": "older",
        "a.json.1": "oldest",
        "a.json.2": "new",
        "b.json": "{}",
        "c.json": "same",
        "d.json": "hers",
        "d.json.1": "mine",
        "e.json": "old",
        "e.json.1": "old",
    }
    assert files_in(place.landing) == {}
    moved = place.archive / "a.json.2"
    assert (seen(moved).modified_us, moved.stat().st_mode & 0o777) == (first.modified_us, 0o640)
    assert ".2 added" in (place.told(first)[1] or "")
    assert place.told(second)[0] is State.ARCHIVED


def test_across_real_file_systems(place: Place) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == place.path.stat().st_dev:
        pytest.skip("one file system only")
    place.archive = memory / f"medallion-test-{os.getpid()}"
    file = place.put("x/a.json", "text")
    try:
        assert place.clean("move").moved == 1
        assert files_in(place.archive) == {"x/a.json": "text"}
        assert seen(place.archive / "x" / "a.json").modified_us == file.modified_us
        assert files_in(place.landing) == {}
    finally:
        for one in ("x/a.json", "x", ""):
            path = place.archive / one
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)


def test_a_full_archive_stops_the_round_and_loses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [place.put(f"{n}.json", f"{n}") for n in range(3)]
    cleaner = place.cleaner("move")
    with monkeypatch.context() as full:
        full.setattr(os, "link", no_link(errno.EXDEV))
        full.setattr(os, "fsync", no_link(errno.ENOSPC))
        done = cleaner.clean(NOW)
    assert (done.moved, done.left) == (0, 1)
    assert "No space left" in done.remarks[0]
    assert files_in(place.landing) == {f"{n}.json": f"{n}" for n in range(3)}
    assert {place.told(file)[0] for file in files} == {State.ARCHIVING}
    assert place.clean("move").moved == 3


def test_a_file_that_is_replaced_while_it_is_copied_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("a.json", "old")
    cleaner = place.cleaner("move")
    rename = os.rename

    def replace_and_rename(*args: Any, **kwargs: Any) -> None:
        (place.landing / "a.json").write_text("new")
        rename(*args, **kwargs)

    monkeypatch.setattr(os, "link", no_link(errno.EXDEV))
    monkeypatch.setattr(os, "rename", replace_and_rename)
    done = cleaner.clean(NOW)
    assert (done.moved, done.left) == (0, 1)
    assert files_in(place.landing) == {"a.json": "new"}


def test_what_a_copy_left_that_was_cut_off_is_no_part_of_the_next_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("a.json", "a long text")
    monkeypatch.setattr(os, "link", no_link(errno.EXDEV))
    cleaner = place.cleaner("move")
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_link(errno.ENOSPC))
        assert cleaner.clean(NOW).moved == 0
    assert list(files_in(place.archive).values()) == ["a long text"]
    place.journal.file.unlink()
    place.put("a.json", "short")
    assert cleaner.clean(NOW).moved == 1
    assert files_in(place.archive) == {"a.json": "short"}


# --- cut off


def dies_at(step: int, place: Place, mode: str) -> bool:
    """Cleans in a child that is killed right before its nth change; whether it came so far."""
    child = os.fork()
    if child == 0:
        try:
            left = step
            cleaner = place.cleaner(mode)

            def mortal(change: Callable[..., Any]) -> Callable[..., Any]:
                def run(*args: Any, **kwargs: Any) -> Any:
                    nonlocal left
                    if left == 0:
                        os._exit(9)
                    left -= 1
                    return change(*args, **kwargs)

                return run

            for name in ("link", "unlink", "rename", "fsync", "utime", "mkdir", "fchmod"):
                setattr(os, name, mortal(getattr(os, name)))
            place.journal.note = mortal(place.journal.note)  # type: ignore[method-assign]
            cleaner.clean(NOW)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


@pytest.mark.parametrize(("mode", "across"), [("delete", False), ("move", False), ("move", True)])
def test_a_kill_at_any_step_loses_nothing_and_all_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, across: bool
) -> None:
    monkeypatch.setattr(cleanup, "GROUP", 2)
    if across:
        monkeypatch.setattr(os, "link", no_link(errno.EXDEV))
    killed = step = 0
    while True:
        place = Place(tmp_path / str(step))
        texts = {"x/a.json": "1", "x/b.json": "22", "c.json": "333"}
        files = [place.put(name, text) for name, text in texts.items()]
        cut_off = dies_at(step, place, mode)
        killed += cut_off
        if mode == "move":
            # At each moment every content is in one of the places, whole.
            both = [*files_in(place.landing).values(), *files_in(place.archive).values()]
            assert set(both) >= set(texts.values())
        left = files_in(place.landing).keys()
        assert all(place.told(f)[0] is not State.COMMITTED for f in files if not there(f))
        assert left <= texts.keys()
        done = place.clean(mode)
        assert (done.left, done.remarks, files_in(place.landing)) == (0, [], {})
        assert {place.told(file)[0] for file in files} == {State.ARCHIVED}
        assert files_in(place.archive) == (texts if mode == "move" else {})
        if not cut_off:
            break
        step += 1
    assert killed >= 7


def test_a_file_that_vanished_on_the_way_is_not_told_as_moved(place: Place) -> None:
    file = place.put("a.json", state=State.ARCHIVING)
    (place.landing / "a.json").unlink()
    done = place.clean("move")
    assert (done.moved, place.told(file)) == (0, (State.ARCHIVED, "gone already"))
    assert "gone already" in done.remarks[0]


def test_files_are_noted_before_any_is_touched_and_in_groups(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "GROUP", 2)
    files = [place.put(f"{n}.json") for n in range(5)]
    notes = []
    note = place.journal.note

    def watched(group: Sequence[FileEntry], state: State, error: str | None = None) -> None:
        notes.append((state, len(group), sum(map(there, files))))
        note(group, state, error)

    place.journal.note = watched  # type: ignore[method-assign]
    assert place.clean().deleted == 5
    begun, ended = State.ARCHIVING, State.ARCHIVED
    assert notes == [
        *[(begun, 2, 5), (ended, 2, 3)],
        *[(begun, 2, 3), (ended, 2, 1)],
        *[(begun, 1, 1), (ended, 1, 0)],
    ]


# --- how many


def test_a_call_takes_so_many_and_what_stays_does_not_hold_up_the_rest(place: Place) -> None:
    files = [place.put(f"{n}.json") for n in range(5)]
    for file in sorted(files)[:2]:
        Path(to_path(file.path)).write_text("changed")
    cleaner = place.cleaner(most=2)
    counts = [(d.deleted, d.left, d.waiting) for d in (cleaner.clean(NOW) for _ in range(4))]
    assert counts == [(0, 2, 3), (2, 0, 1), (1, 0, 0), (0, 2, 0)]


def test_remarks_name_three_files_and_no_more(place: Place) -> None:
    for n in range(5):
        place.put(f"{n}.json")
        (place.landing / f"{n}.json").write_text("changed")
    (remark,) = place.clean().remarks
    assert remark.startswith("5 file(s) kept, changed")
    assert remark.count("file:/") == 3


def test_files_that_cannot_be_removed_do_not_pile_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "GROUP", 2)
    for n in range(9):
        place.put(f"{n}.json")
    with monkeypatch.context() as failing:
        failing.setattr(os, "unlink", no_link(errno.EACCES))
        for _ in range(3):
            done = place.clean()
            assert (done.failed, done.left) == (2, 2)
            assert "Permission denied" in done.remarks[0]
    assert len(place.journal.in_state(State.ARCHIVING)) == 2
    assert place.clean().deleted == 9


@pytest.mark.parametrize(("fault", "failed"), [(errno.EIO, 3), (errno.EROFS, 1)])
@pytest.mark.parametrize("state", [State.COMMITTED, State.ARCHIVING])
def test_a_failed_look_at_a_file_counts_as_failed(
    place: Place, state: State, fault: int, failed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the file is due, or an earlier run had begun to clean it."""
    for n in range(3):
        place.put(f"{n}.json", state=state)
    look = os.stat

    def refuse(path: Any, **more: Any) -> os.stat_result:
        if str(path).endswith(".json") and "dir_fd" in more:
            raise OSError(fault, os.strerror(fault))
        return look(path, **more)

    with monkeypatch.context() as failing:
        failing.setattr(os, "stat", refuse)
        done = place.clean()
    assert (done.failed, done.left, done.goes_on) == (failed, failed, fault == errno.EIO)
    assert os.strerror(fault) in done.remarks[0]
    assert place.clean().deleted == 3


# --- settings


def refusal(place: Place, mode: str, **source: Any) -> UsageError:
    with pytest.raises(UsageError) as refused:
        Cleaner(place.config(mode, **source), "sales", place.journal)
    assert refused.value.next_step
    return refused.value


def test_other_file_systems_are_refused_unless_off(place: Place) -> None:
    for mode in ("delete", "move"):
        error = refusal(place, mode, path=[str(place.landing), "hdfs://host/sales"])
        assert "hdfs://host/sales" in error.what
        assert "bronze.sales.source.clean_source.mode" in error.what
    Cleaner(place.config("off", path="s3a://bucket/sales"), "sales", place.journal)


def test_a_short_retention_for_delete_needs_force(place: Place) -> None:
    error = refusal(place, "delete", clean={"retention": "6d"})
    assert "bronze.sales.source.clean_source.retention" in error.what
    assert "bronze.sales.source.clean_source.force" in error.next_step
    check(place.config("delete", clean={"retention": "6d", "force": True}), "sales")
    check(place.config("delete", clean={"retention": "7d"}), "sales")
    check(place.config("move", clean={"retention": "1s"}), "sales")


@pytest.mark.parametrize(
    "to", ["landing/sales", "landing/sales/_old", "landing", "lake/old", "lake", ".", "link/x"]
)
def test_an_archive_may_not_share_a_place_with_landing_or_lake(place: Place, to: str) -> None:
    (place.path / "lake").mkdir()
    (place.path / "link").symlink_to(place.landing)
    error = refusal(place, "move", clean={"move_to": str(place.path / to)})
    assert "bronze.sales.source.clean_source.move_to" in error.what


@pytest.mark.parametrize("to", [None, "s3a://bucket/old", "/archive/*"])
def test_an_archive_is_a_local_folder(place: Place, to: str | None) -> None:
    error = refusal(place, "move", clean={"move_to": to})
    assert "bronze.sales.source.clean_source.move_to" in error.what


# --- with other readers, and the real ledger


def test_the_real_ledger_names_committed_files_only(place: Place) -> None:
    config = place.config()
    place.cleaner()
    states = [s for s in State if s not in (State.ARCHIVING, State.ARCHIVED)]
    files = {state: place.put(f"{state.value}.json") for state in states}
    discovered = place.put("discovered.json")
    ledger = ledger_of(config, [])
    ledger.admit([*files.values(), discovered])
    ledger.record([Outcome(file, state) for state, file in files.items()], Txn("t", 1, "run"), 1)
    later = datetime.now(timezone.utc) + timedelta(days=31)
    assert Cleaner(config, "sales", ledger).clean(later).deleted == 1
    assert not there(files.pop(State.COMMITTED))
    assert all(map(there, [*files.values(), discovered]))


def ledger_of(config: Pipeline, files: Sequence[FileEntry]) -> Ledger:
    ledger = Ledger(Path(registrations.Reader.of(TablePaths(config, BRONZE)).ledger))
    ledger.ensure()
    ledger.admit(files)
    ledger.record([Outcome(file, State.COMMITTED, rows=1) for file in files], Txn("t", 0, "run"), 1)
    return ledger


def test_with_the_real_ledger_and_a_reader_that_lags_behind(place: Place) -> None:
    mine, ours = place.put("mine.json"), place.put("ours.json")
    config = place.config("move")
    place.cleaner("move")
    ledger = ledger_of(config, [mine, ours])
    hers = config.model_copy(update={"pipeline": "her", "storage": {}})
    hers = Pipeline.model_validate(
        {
            **config.model_dump(by_alias=True),
            "pipeline": "her",
            "storage": {"root": str(place.path / "lake2")},
        }
    )
    other = registrations.Reader.of(TablePaths(hers, BRONZE))
    assert registrations.register(str(place.landing), other) is None
    soon = datetime.now(timezone.utc) + timedelta(days=31)

    def clean() -> Cleaned:
        return Cleaner(config, "sales", ledger).clean(soon)

    assert Cleaner(config, "sales", ledger).clean(datetime.now(timezone.utc)) == Cleaned()
    done = clean()  # she has no ledger at all
    registration = place.landing / ".medallion" / "readers" / "her.sales.reader"
    assert (done.moved, done.left) == (0, 2)
    assert f"if it is no longer used: delete {registration}" in done.remarks[0]
    assert ledger.in_state(State.ARCHIVING) == []
    ledger_of(hers, [ours])
    done = clean()
    assert (done.moved, done.left) == (1, 1)
    assert "her.sales has not read their current content" in done.remarks[0]
    assert ledger.in_state(State.ARCHIVED) == [ours]
    assert (there(mine), there(ours)) == (True, False)
    registration.unlink()
    assert clean().moved == 1
    assert sorted(ledger.in_state(State.ARCHIVED)) == sorted([mine, ours])
    assert clean() == Cleaned()


# --- with other tables of the same config, which need no registration


def with_neighbour(place: Place, path: str, **source: Any) -> Pipeline:
    """A config whose `hers` reads `path`, and never ran. `{}` is the folder of landing folders."""
    values = place.config().model_dump(by_alias=True, exclude_defaults=True, mode="json")
    values["bronze"]["hers"] = {
        "source": {"format": "json", "path": path.format(place.path / "landing"), **source}
    }
    return Pipeline.model_validate(values)


@pytest.mark.parametrize(
    ("path", "source", "stays"),
    [
        ("{}/sales", {}, True),
        ("{}", {}, True),
        ("{}/s*", {}, True),
        ("{}/{{returns,sales}}/a", {}, True),
        ("{}/*/*/a.json", {}, True),
        ("{}/../link/sales", {}, True),
        ("{}/sales", {"modified_before": "2000-01-01"}, True),
        ("{}/sales", {"path_glob_filter": "*.csv"}, False),
        ("{}/sales/a/b", {}, False),
        ("{}/sales", {"recursive": False}, False),
        ("{}/*/b", {}, False),
        ("{}/returns", {}, False),
        ("{}/sal", {}, False),
        ("s3a://bucket/sales", {}, False),
        ("hdfs://host/sales", {}, False),
    ],
)
def test_a_file_that_another_table_of_the_config_has_yet_to_read_stays(
    place: Place, path: str, source: dict[str, Any], stays: bool
) -> None:
    (place.path / "link").symlink_to(place.path / "landing")
    file = place.put("a/a.json")
    place.cleaner()
    config = with_neighbour(place, path, **source)
    done = Cleaner(config, "sales", place.journal).clean(NOW)
    assert (done.deleted, done.left, there(file)) == (not stays, stays, stays)
    if not stays:
        return
    assert "shop.hers has not read their current content; run bronze.hers" in done.remarks[0]
    theirs = Ledger(TablePaths(config, TableRef("bronze", "hers")).ledger)
    theirs.ensure()
    theirs.admit([file])
    assert Cleaner(config, "sales", place.journal).clean(NOW).left == 1
    theirs.record([Outcome(file, State.COMMITTED, rows=1)], Txn("t", 0, "run"), 1)
    assert Cleaner(config, "sales", place.journal).clean(NOW).deleted == 1


def test_nor_one_that_another_build_of_a_table_has_yet_to_read(place: Place) -> None:
    file = place.put("a.json")
    place.cleaner()
    config = with_neighbour(place, "{}/sales")
    places = [TablePaths(config, TableRef("bronze", "hers"), slot) for slot in ("live", "again")]
    for table in places:
        theirs = Ledger(table.ledger)
        theirs.ensure()
        theirs.admit([file])
        (remark,) = Cleaner(config, "sales", place.journal).clean(NOW).remarks
        assert "shop.hers has not read" in remark
        theirs.record([Outcome(file, State.COMMITTED, rows=1)], Txn("t", 0, "run"), 1)
    assert str(places[1].state) in remark
    assert Cleaner(config, "sales", place.journal).clean(NOW).deleted == 1


@pytest.mark.parametrize("old", [False, True])
def test_a_registration_is_honoured_wherever_it_is(place: Place, old: bool) -> None:
    file = place.put("a.json")
    place.cleaner()
    other = registrations.Reader("her", "t", str(place.path / "her"), "/her")
    assert registrations.register(str(place.landing), other) is None
    folder = place.landing / ".medallion" / "readers"
    if old:
        before = place.landing / "_medallion" / "readers"
        before.mkdir(parents=True)
        for registration in folder.iterdir():
            registration.rename(before / f"{registration.stem}.json")
    assert "her.t" in place.journal_cleaner().clean(NOW).remarks[0]
    Path((before / "her.t.json") if old else (folder / "her.t.reader")).unlink()
    assert place.journal_cleaner().clean(NOW).deleted == 1
    assert not there(file)


def test_a_root_that_is_not_mounted_is_left(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it count as one if nobody knows."""
    place.put("a.json")
    place.cleaner()
    with monkeypatch.context() as failing:
        failing.setattr(Path, "iterdir", no_link(errno.EIO))
        done = place.journal_cleaner().clean(NOW)
        assert (done.failed, done.left) == (1, 1)
        assert "Input/output error" in done.remarks[0]
    place.landing.rename(place.path / "away")
    place.landing.mkdir()
    done = place.journal_cleaner().clean(NOW)
    assert (done.failed, done.left) == (0, 1)
    assert "is it mounted?" in done.remarks[0]
    place.landing.rmdir()
    (place.path / "away").rename(place.landing)
    assert place.journal_cleaner().clean(NOW).deleted == 1


def test_a_table_that_cleans_cannot_be_told_not_to_register(place: Place) -> None:
    error = refusal(place, "delete", register_as_reader=False)
    assert "bronze.sales.source.register_as_reader" in error.what
    check(place.config("off", register_as_reader=False), "sales")
