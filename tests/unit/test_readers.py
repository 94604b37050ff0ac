"""Who reads a landing folder, and what each of them has read."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from lakes import BRONZE

from medallion_jobs.autoloader.archive import neighbours, registrations
from medallion_jobs.autoloader.archive.file_location import LeftError, fixed_part, location_of
from medallion_jobs.autoloader.archive.local_files import opened
from medallion_jobs.autoloader.archive.neighbours import blocked
from medallion_jobs.autoloader.archive.registrations import Reader
from medallion_jobs.autoloader.discovery.discovery import Discovery
from medallion_jobs.autoloader.file_entry import FileEntry, to_uri
from medallion_jobs.autoloader.ledger.ledger import Ledger
from medallion_jobs.autoloader.ledger.tables import Outcome, State
from medallion_jobs.config import FileSource, Pipeline
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Txn


def reader(lake: Path, pipeline: str = "shop", **more: Any) -> Reader:
    ledger = lake / "_medallion" / "ledger" / "sales"
    return Reader(pipeline, "sales", str(ledger), str(lake), **more)


def ledger(of: Reader) -> Ledger:
    made = Ledger(Path(of.ledger))
    made.ensure()
    return made


def read(of: Reader, *files: FileEntry, state: State = State.COMMITTED, batch: int = 0) -> Ledger:
    made = ledger(of)
    made.admit(files)
    made.record([Outcome(file, state) for file in files], Txn("t", batch, "run"), 1)
    return made


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


@pytest.fixture
def me(tmp_path: Path) -> Reader:
    return reader(tmp_path / "mine")


@pytest.fixture
def her(tmp_path: Path, landing: Path) -> Reader:
    other = reader(tmp_path / "hers", "her")
    assert registrations.register(str(landing), other) is None
    return other


@pytest.mark.parametrize(
    ("root", "fixed"),
    [
        ("/a/b", "/a/b"),
        ("/a/b*/c", "/a"),
        ("/a/{b,c}", "/a"),
        ("/a/?", "/a"),
        ("/[ab]/c", "/"),
        ("/a/b\\*", "/a"),
    ],
)
def test_the_fixed_part_of_a_root(root: str, fixed: str) -> None:
    assert fixed_part(root) == Path(fixed)


# --- registering


def test_a_table_of_a_pipeline_as_a_reader(tmp_path: Path) -> None:
    config = Pipeline.model_validate(
        {
            "pipeline": "shop",
            "storage": {"root": str(tmp_path / "lake")},
            "bronze": {"sales": {"source": {"format": "json", "path_glob_filter": "*.json"}}},
        }
    )
    lake = tmp_path / "lake"
    assert Reader.of(TablePaths(config, BRONZE)) == reader(lake, path_glob_filter="*.json")


def test_a_reader_leaves_its_name_where_no_listing_looks(landing: Path, me: Reader) -> None:
    assert registrations.register(f"{landing}/2026-*", me) is None
    file = landing / ".medallion" / "readers" / "shop.sales.reader"
    said = json.loads(file.read_text())
    assert (said["pipeline"], said["table"], said["ledger"]) == ("shop", "sales", me.ledger)
    assert said["storage"] == me.storage
    assert datetime.fromisoformat(said["registered_at"]).tzinfo
    assert [one.name for one in file.parent.iterdir()] == ["shop.sales.reader"]
    source = FileSource(format="json")
    state = landing.parent / "state"
    discovery = Discovery([str(landing)], source, state, lambda: pytest.fail("no Spark"))
    assert discovery.scan(patience=True).files == []
    assert registrations.is_registered(landing, me)
    assert not registrations.is_registered(landing.parent, me)


def test_it_is_written_again_only_when_it_would_say_something_else(
    landing: Path, me: Reader
) -> None:
    file = landing / ".medallion" / "readers" / "shop.sales.reader"
    inodes = []
    filtered = reader(Path(me.storage), path_glob_filter="*.csv")
    for one in (me, me, filtered, filtered):
        assert registrations.register(str(landing), one) is None
        inodes.append(file.stat().st_ino)
    assert inodes[0] == inodes[1] != inodes[2] == inodes[3]
    assert json.loads(file.read_text())["path_glob_filter"] == "*.csv"
    file.write_text("{ torn")
    assert registrations.register(str(landing), me) is None
    assert registrations.is_registered(landing, me)


def test_the_same_name_in_another_lake_is_another_reader(
    tmp_path: Path, landing: Path, me: Reader
) -> None:
    twin = reader(tmp_path / "twin")
    for one in (me, twin, me, twin):
        assert registrations.register(str(landing), one) is None
    assert [one.ledger for one in registrations.others(str(landing), me)] == [twin.ledger]
    assert [one.ledger for one in registrations.others(str(landing), twin)] == [me.ledger]


def test_a_root_that_cannot_be_written_to_gives_a_remark(
    landing: Path, me: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as locked:
        locked.setattr(registrations, "put", refuse)
        remark = registrations.register(str(landing), me)
    assert remark is not None
    assert "Permission denied" in remark
    assert str(landing) in remark
    (landing / ".medallion").write_text("")
    assert "shop.sales is not registered" in (registrations.register(str(landing), me) or "")


def test_no_root_is_made_and_no_link_followed(landing: Path, me: Reader) -> None:
    assert "No such file" in (registrations.register(str(landing / "absent"), me) or "")
    assert list(landing.iterdir()) == []
    elsewhere = landing.parent / "elsewhere"
    elsewhere.mkdir()
    (landing / ".medallion").symlink_to(elsewhere)
    assert "symbolic link" in (registrations.register(str(landing), me) or "")
    assert list(elsewhere.iterdir()) == []
    assert registrations.register("hdfs://host/x", me) is None
    assert not Path("s3a:").exists()


# --- what the others have read


A = FileEntry(1_000_001, "file:/in/a.json", 5)
B = FileEntry(2_000_002, "file:/in/b c%25.json", 7)


def test_the_states_of_files_as_they_are(me: Reader) -> None:
    made = read(me, A)
    made.admit([B])
    folder = Path(me.ledger)
    assert neighbours.states_of(folder, [A, B]) == {A.path: State.COMMITTED}
    assert neighbours.states_of(folder, []) == {}
    other_size, other_time = (
        FileEntry(A.modified_us, A.path, 6),
        FileEntry(A.modified_us + 1, A.path, 5),
    )
    assert neighbours.states_of(folder, [other_size]) == {}
    assert neighbours.states_of(folder, [other_time]) == {}
    made.note([A], State.ARCHIVING)
    made.note([A], State.ARCHIVED, "deleted")
    assert neighbours.states_of(folder, [A, B]) == {A.path: State.ARCHIVED}


def test_a_file_that_is_to_be_read_again_has_not_been_read(me: Reader) -> None:
    made = read(me, A, B)
    made.retry([A])
    assert neighbours.states_of(Path(me.ledger), [A, B]) == {B.path: State.COMMITTED}
    made.record([Outcome(A, State.COMMITTED)], Txn("t", 1, "run"), 2)
    assert neighbours.states_of(Path(me.ledger), [A, B]).keys() == {A.path, B.path}


@pytest.mark.parametrize(
    ("state", "stays"),
    [
        (State.COMMITTED, False),
        (State.ARCHIVING, False),
        (State.ARCHIVED, False),
        (State.QUARANTINED, True),
        (State.MISSING, True),
        (State.SKIPPED, True),
        (None, True),
    ],
)
def test_a_file_stays_until_each_other_reader_has_read_it(
    landing: Path, me: Reader, her: Reader, state: State | None, stays: bool
) -> None:
    registrations.register(str(landing), me)
    made = ledger(her)
    made.admit([A])
    if state:
        made.record([Outcome(A, state)], Txn("t", 0, "run"), 1)
    assert (A in blocked({A: landing}, me)) is stays


def test_readers_of_folders_above_and_below_count(
    tmp_path: Path, landing: Path, me: Reader, her: Reader
) -> None:
    below = landing / "sub"
    below.mkdir()
    third = reader(tmp_path / "third", "third")
    registrations.register(str(below), third)
    read(her, A, B)
    assert "third.sales" in blocked({A: below}, me)[A]
    assert blocked({B: landing}, me) == {}
    assert blocked({A: landing / "other" / "deep"}, me) == {}
    read(third, A)
    assert blocked({A: below}, me) == {}


def test_a_reader_of_other_names_does_not_hold_up(
    landing: Path, tmp_path: Path, me: Reader
) -> None:
    for pattern, stays in (("*.csv", False), ("?.json", True), ("{a,b}.csv", True)):
        registrations.register(
            str(landing), reader(tmp_path / "h", "her", path_glob_filter=pattern)
        )
        assert (A in blocked({A: landing}, me)) is stays, pattern


@pytest.mark.parametrize("harm", ["gone", "broken", "no log", "not json", "not a reader"])
def test_a_reader_of_which_nothing_is_known_blocks_and_is_named(
    landing: Path, me: Reader, her: Reader, harm: str
) -> None:
    made = read(her, A)
    assert blocked({A: landing}, me) == {}
    file = landing / ".medallion" / "readers" / "her.sales.reader"
    log = made.events / "_delta_log"
    if harm == "gone":
        Path(her.ledger).rename(landing.parent / "away")
    elif harm == "broken":
        for data in made.events.glob("*.parquet"):
            data.write_bytes(b"no parquet")
    elif harm == "no log":
        log.rename(made.events / "x")
    else:
        file.write_text("{ torn" if harm == "not json" else '{"pipeline": 1}')
    (reason,) = blocked({A: landing}, me).values()
    assert "her.sales" in reason
    assert reason.endswith(f"; if it is no longer used: delete {file}")
    file.unlink()
    assert blocked({A: landing}, me) == {}


def test_each_ledger_is_read_once(
    landing: Path, me: Reader, her: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        neighbours, "states_of", lambda of, files: asked.append((of, len(files))) or {}
    )
    blocked({A: landing, B: landing / "x"}, me)
    assert asked == [(Path(her.ledger), 2)]


def test_ten_thousand_files_are_looked_up_in_no_time(me: Reader) -> None:
    files = [FileEntry(n, f"file:/in/{n}.json", n) for n in range(10_000)]
    read(me, *files)
    begun = datetime.now(timezone.utc)
    assert len(neighbours.states_of(Path(me.ledger), files)) == len(files)
    assert datetime.now(timezone.utc) - begun < timedelta(seconds=10)


# --- where a file lies


def test_the_spot_of_a_file_is_below_the_first_root_that_holds_it(landing: Path) -> None:
    roots = [landing / "sub", landing]
    near = location_of(FileEntry(0, to_uri(f"{landing}/sub/x/a b.json"), 1), roots)
    far = location_of(FileEntry(0, to_uri(f"{landing}/subway/a.json"), 1), roots)
    assert (near.root, near.folders, near.name) == (landing / "sub", ("x",), "a b.json")
    assert (far.root, far.folders, far.name) == (landing, ("subway",), "a.json")
    for outside in (f"{landing}2/a", f"{landing}/../a", f"{landing}//a", f"{landing}/", "/"):
        with pytest.raises(LeftError):
            location_of(FileEntry(0, to_uri(outside), 1), roots)


def test_folders_are_opened_step_by_step_and_all_are_closed(landing: Path) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    (landing / "a" / "b").mkdir(parents=True)
    (landing / "link").symlink_to(landing / "a")
    with opened(landing, ("a", "b")) as folder:
        assert folder is not None
        assert os.path.samestat(os.fstat(folder), (landing / "a" / "b").stat())
    for folders in (("a", "absent"), ("absent", "b")):
        with opened(landing, folders) as folder:
            assert folder is None
    with pytest.raises(LeftError), opened(landing, ("link", "b")):
        pass
    with opened(landing / "new", ("x", "y"), make=True) as folder:
        assert folder is not None
    assert (landing / "new" / "x" / "y").is_dir()
    assert len(list(Path("/dev/fd").iterdir())) == before
