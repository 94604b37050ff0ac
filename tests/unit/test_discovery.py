"""Which files a scan hands out, and which folders it lists for that."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medallion_jobs.autoloader.discovery import listing, mounts, stores
from medallion_jobs.autoloader.discovery.discovery import Discovery, Scan
from medallion_jobs.autoloader.file_entry import to_path
from medallion_jobs.config.source import FileSource
from medallion_jobs.errors import UsageError

LONG_AGO = 1_700_000_000
Make = Callable[..., Discovery]


def touch(file: Path, text: str = "{}", *, at: float | None = LONG_AGO) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    if at is not None:
        os.utime(file, (at, at))
    return file


def no_spark() -> Any:
    raise AssertionError("a session was asked for")


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


@pytest.fixture
def discovery(tmp_path: Path, landing: Path) -> Make:
    def make(*roots: str | Path, **options: Any) -> Discovery:
        source = FileSource(**{"format": "json", "min_age": "100ms", **options})
        return Discovery([*map(str, roots or (landing,))], source, tmp_path / "state", no_spark)

    return make


@pytest.fixture
def quick_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are trusted at once; whoever changes one waits for its file system's next tick."""
    monkeypatch.setattr(listing, "RACY_NS", 0)


def tick() -> None:
    time.sleep(0.012)


def names(scan: Scan, below: Path) -> list[str]:
    return sorted(os.path.relpath(to_path(file.path), below) for file in scan.files)


def admitted(scan: Scan) -> Scan:
    scan.remember()
    return scan


# --- what is a file


def test_hidden_and_temporary_names_are_left_out_with_all_below(
    landing: Path, discovery: Make
) -> None:
    for name in ("a.json", "s/b.json", ".c", "_d", ".s/e", "_s/f", "g._COPYING_", ".h=1", ".i=1/j"):
        touch(landing / name)
    for name in ("_x=1/a.json", "_y=2.json"):
        touch(landing / name)
    wanted = ["_x=1/a.json", "_y=2.json", "a.json", "s/b.json"]
    assert names(discovery().scan(patience=True), landing) == wanted


def test_links_pipes_and_folders_are_no_files(
    tmp_path: Path, landing: Path, discovery: Make
) -> None:
    outside = touch(tmp_path / "outside" / "secret.json")
    touch(landing / "folder.json" / "inner.json")
    touch(landing / "a.json")
    (landing / "to_file.json").symlink_to(outside)
    (landing / "to_folder").symlink_to(outside.parent)
    (landing / "to_itself").symlink_to(landing)
    (landing / "to_nowhere").symlink_to("gone")
    os.mkfifo(landing / "pipe.json")
    assert names(discovery().scan(patience=True), landing) == ["a.json", "folder.json/inner.json"]


def test_a_root_may_itself_be_a_link_and_be_hidden(tmp_path: Path, discovery: Make) -> None:
    touch(tmp_path / ".real" / "a.json")
    (tmp_path / "link").symlink_to(tmp_path / ".real")
    for root in (tmp_path / "link", tmp_path / ".real"):
        assert names(discovery(root).scan(patience=True), root) == ["a.json"]


@pytest.mark.parametrize("seconds", [-86_400, 0, LONG_AGO])
def test_a_file_as_it_is_found(landing: Path, discovery: Make, seconds: int) -> None:
    file = touch(landing / "a b%.json", "1234")
    os.utime(file, ns=(0, seconds * 10**9 + 123_456_789))
    (found,) = discovery().scan(patience=False).files
    assert (found.modified_us, found.size) == (seconds * 10**6 + 123_456, 4)
    assert found.path == f"file:{landing}/a%20b%25.json"


def test_what_vanishes_while_it_is_listed_is_left_out(
    landing: Path, discovery: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.json", "gone/b.json", "stays/c.json"):
        touch(landing / name)
    real = os.scandir

    def scandir(path: str) -> Any:
        if path == str(landing):
            entries = real(path)
            shutil.rmtree(landing / "gone", ignore_errors=True)
            (landing / "a.json").unlink(missing_ok=True)
            return entries
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names(discovery().scan(patience=True), landing) == ["stays/c.json"]


def test_a_folder_that_must_not_be_read_is_named(
    landing: Path, discovery: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(landing / "locked" / "a.json")
    real = os.scandir

    def scandir(path: str) -> Any:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root may read everything
    with pytest.raises(UsageError, match=r"/landing/locked cannot be listed: Permission denied"):
        discovery().scan(patience=True)


# --- roots and filters


@pytest.mark.parametrize(
    ("root", "wanted"),
    [
        ("2026-*/in", ["2026-01/in/a", "2026-01/in/deep/b", "2026-02/in/a"]),
        ("2026-0[12]/out", ["2026-01/out/a", "2026-02/out/a"]),
        ("2026-0[!1]/out", ["2026-02/out/a"]),
        ("{2026-01/out,2025/in}", ["2025/in/a", "2026-01/out/a"]),
        ("20{26-0{1,9},25}/in", ["2025/in/a", "2026-01/in/a", "2026-01/in/deep/b"]),
        ("202?/*/a", ["2025/in/a"]),
        ("*", ["2025/in/a", "2026-01/in/a", "2026-01/in/deep/b", "2026-01/out/a", "2026-02/in/a",
               "2026-02/out/a", "top"]),
        ("_h*/in", ["_hid/in/a"]),
        ("[x]", ["[x]/a"]),
        ("\\[x\\]", ["[x]/a"]),
        ("nothing-yet-*", []),
    ],
)  # fmt: skip
def test_patterns_of_folders(landing: Path, discovery: Make, root: str, wanted: list[str]) -> None:
    for name in ("2026-01/in/a", "2026-01/in/deep/b", "2026-02/in/a", "2025/in/a", "top",
                 "2026-01/out/a", "2026-02/out/a", "_hid/in/a"):  # fmt: skip
        touch(landing / name)
    if "x" in root:
        touch(landing / "[x]" / "a")
    once = discovery(landing / root)
    once.check()
    assert names(admitted(once.scan(patience=True)), landing) == wanted


def test_several_roots_even_overlapping_hand_out_each_file_once(
    landing: Path, discovery: Make
) -> None:
    for name in ("x/a", "y/b", "z/c"):
        touch(landing / name)
    scan = discovery(landing / "x", landing / "{x,y}", f"file://{landing}/y").scan(patience=True)
    assert names(scan, landing) == ["x/a", "y/b"]


def test_only_the_folder_itself_where_it_is_not_recursive(landing: Path, discovery: Make) -> None:
    for name in ("a", "x/b", "x/y/c"):
        touch(landing / name)
    assert names(discovery(recursive=False).scan(patience=True), landing) == ["a"]
    in_each = discovery(landing / "*", recursive=False)
    assert names(in_each.scan(patience=True), landing) == ["a", "x/b"]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"path_glob_filter": "*.{json,csv}"}, ["a.json", "sub.x/c.csv"]),
        ({"path_glob_filter": "[a-b]*"}, ["a.json", "b.txt"]),
        ({"modified_after": "2023-01-01"}, ["b.txt", "sub.x/c.csv"]),
        ({"modified_after": "2022-01-01", "modified_before": "2023-11-14T22:13:20Z"}, ["a.json"]),
    ],
)
def test_filters(
    landing: Path, discovery: Make, options: dict[str, Any], wanted: list[str]
) -> None:
    at_2022 = datetime(2022, 6, 1, tzinfo=timezone.utc).timestamp()
    touch(landing / "a.json", at=at_2022)
    touch(landing / "b.txt")
    touch(landing / "sub.x" / "c.csv")
    assert names(discovery(**options).scan(patience=True), landing) == wanted


@pytest.mark.parametrize("options", [{"path_glob_filter": "[a"}, {"path_glob_filter": "{a"}])
def test_what_is_no_pattern_is_refused(discovery: Make, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"invalid pattern: .* is not closed"):
        discovery(**options)


@pytest.mark.parametrize("there", ["nothing", "a file"])
def test_no_landing_folder_is_told_with_the_command_that_makes_one(
    tmp_path: Path, discovery: Make, there: str
) -> None:
    folder = tmp_path / "nowhere"
    if there == "a file":
        touch(folder)
    for root in (folder, folder / "*" / "in"):
        made = discovery(root)
        for look in (made.check, lambda made=made: made.scan(patience=False)):
            with pytest.raises(UsageError) as refused:
                look()
            assert refused.value.what == f"there is no landing folder {folder}"
            assert "medallion generate" in refused.value.next_step
            assert refused.value.untouched


def test_one_root_of_several_that_is_not_there_is_told_once(landing: Path, discovery: Make) -> None:
    (landing / "x").mkdir()
    made = discovery(landing / "x", landing / "y")
    made.check()
    assert made.scan(patience=False).complaints == [f"there is no landing folder {landing}/y"]
    assert made.scan(patience=False).complaints == []
    touch(landing / "y" / "a")
    assert names(made.scan(patience=False), landing) == ["y/a"]


# --- folders that did not change


@pytest.mark.usefixtures("quick_clocks")
def test_a_later_process_lists_only_what_changed(landing: Path, discovery: Make) -> None:
    for number in range(20):
        touch(landing / f"day={number}" / "deep" / "a.json")
    tick()
    first = admitted(discovery().scan(patience=True))
    assert (len(first.files), first.folders_listed, first.is_whole) == (20, 41, True)
    again = admitted(discovery().scan(patience=True))
    assert (again.files, again.folders_listed, again.is_whole) == ([], 0, False)
    tick()
    touch(landing / "day=3" / "deep" / "late.json")
    touch(landing / "day=4" / "new" / "b.json")
    later = admitted(discovery().scan(patience=True))
    # A folder's other files come again; the ledger knows them.
    assert names(later, landing) == [
        "day=3/deep/a.json", "day=3/deep/late.json", "day=4/new/b.json"
    ]  # fmt: skip
    assert later.folders_listed == 3


@pytest.mark.usefixtures("quick_clocks")
def test_nothing_is_remembered_before_it_is_admitted(landing: Path, discovery: Make) -> None:
    touch(landing / "a.json")
    tick()
    made = discovery()
    for _ in range(2):
        assert names(made.scan(patience=True), landing) == ["a.json"]
    made.scan(patience=True).remember()
    assert made.scan(patience=True).files == []


def test_a_folder_that_changed_just_now_is_not_trusted(landing: Path, discovery: Make) -> None:
    touch(landing / "a.json")
    made = discovery()
    for _ in range(2):
        assert admitted(made.scan(patience=True)).folders_listed == 1
    time.sleep(2.1)
    admitted(made.scan(patience=True))
    assert made.scan(patience=True).folders_listed == 0


@pytest.mark.usefixtures("quick_clocks")
def test_a_folder_whose_time_was_put_back_is_listed(landing: Path, discovery: Make) -> None:
    """As `rsync -a` and `tar -x` do."""
    touch(landing / "a.json")
    os.utime(landing, (LONG_AGO, LONG_AGO))
    tick()
    admitted(discovery().scan(patience=True))
    tick()
    touch(landing / "b.json")
    os.utime(landing, (LONG_AGO, LONG_AGO))
    assert names(discovery().scan(patience=True), landing) == ["a.json", "b.json"]


@pytest.mark.usefixtures("quick_clocks")
def test_a_folder_in_anothers_place_is_listed(landing: Path, discovery: Make) -> None:
    touch(landing / "day" / "a.json")
    touch(landing / "next" / "b.json")
    tick()
    admitted(discovery().scan(patience=True))
    tick()
    shutil.rmtree(landing / "day")
    (landing / "next").rename(landing / "day")
    assert names(discovery().scan(patience=True), landing) == ["day/b.json"]


@pytest.mark.usefixtures("quick_clocks")
def test_when_every_folder_is_listed_anew(
    landing: Path, discovery: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        touch(landing / str(number) / "a.json")
    tick()
    admitted(discovery().scan(patience=True))
    assert discovery().scan(patience=True).folders_listed == 0
    assert discovery().scan(patience=True, everything=True).folders_listed == 4
    assert discovery(on_changed_file="version").scan(patience=True).folders_listed == 4
    assert discovery(recursive=False).scan(patience=True).folders_listed == 1
    assert discovery(path_glob_filter="*").scan(patience=True).folders_listed == 4
    now = time.time()
    for clock, listed in ((now + 86_300, 0), (now + 86_500, 4), (now - 100, 4)):
        monkeypatch.setattr(time, "time", lambda clock=clock: clock)
        assert discovery().scan(patience=False).folders_listed == listed


@pytest.mark.usefixtures("quick_clocks")
@pytest.mark.parametrize(
    "kept", [b"", b"{", b"[]", b"\xff", b'{"options":', b"[" * 10**5, b'{"kept":{"trees":[]}}']
)
def test_memory_that_cannot_be_read_costs_only_time(
    tmp_path: Path, landing: Path, discovery: Make, kept: bytes
) -> None:
    touch(landing / "a.json")
    tick()
    admitted(discovery().scan(patience=True))
    memory = tmp_path / "state" / "folders.json"
    assert memory.exists()
    memory.write_bytes(kept)
    scan = admitted(discovery().scan(patience=True))
    assert (names(scan, landing), scan.is_whole) == (["a.json"], True)
    assert discovery().scan(patience=True).folders_listed == 0


@pytest.mark.usefixtures("quick_clocks")
def test_folders_with_names_that_are_no_utf8_are_remembered(landing: Path, discovery: Make) -> None:
    name = os.fsdecode(b"day \xff\xe2\x82")
    touch(landing / name / "a.json")
    tick()
    assert names(admitted(discovery().scan(patience=True)), landing) == [f"{name}/a.json"]
    assert discovery().scan(patience=True).folders_listed == 0


@pytest.mark.usefixtures("quick_clocks")
def test_an_idle_scan_writes_nothing(tmp_path: Path, landing: Path, discovery: Make) -> None:
    touch(landing / "a.json")
    tick()
    made = discovery()
    admitted(made.scan(patience=True))
    memory = tmp_path / "state" / "folders.json"
    before = memory.stat().st_ino, memory.stat().st_mtime_ns
    for _ in range(3):
        admitted(made.scan(patience=True))
    assert (memory.stat().st_ino, memory.stat().st_mtime_ns) == before


@pytest.mark.usefixtures("quick_clocks")
def test_file_systems_whose_folders_tell_nothing_are_always_listed(
    landing: Path, discovery: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores.LocalStore, "has_reliable_stamps", lambda *_: False)
    touch(landing / "x" / "a.json")
    tick()
    made = discovery()
    for _ in range(2):
        scan = admitted(made.scan(patience=True))
        assert (names(scan, landing), scan.folders_listed, scan.is_whole) == (["x/a.json"], 2, True)


def test_which_mounts_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 22 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        "2 22 0:9 / /mnt/my\\040bucket rw shared:3 - fuse.s3fs s3fs rw\n"
        "3 22 0:9 / /mnt/nfs rw - nfs4 host:/x rw\n"
        "4 22 0:9 / /mnt/nfs/disk rw - xfs /dev/vdb rw\n"
        "5 22 0:9 / /mnt/twice rw - xfs /dev/vdb rw\n"
        "6 22 0:9 / /mnt/twice rw - 9p host rw\n"
    )
    monkeypatch.setattr(mounts, "_TABLE", table)
    good = ["/data", "/mnt/my", "/mnt/nfs/disk/x"]
    bad = ["/mnt/my bucket/x", "/mnt/nfs", "/mnt/nfs/other", "/mnt/twice/x"]
    assert [path for path in good + bad if mounts.keeps_times(path)] == good
    table.unlink()
    assert mounts.keeps_times("/data")


# --- files that may still be written


def test_with_patience_a_young_file_is_waited_for(landing: Path, discovery: Make) -> None:
    touch(landing / "young.json", at=None)
    touch(landing / "old.json")
    scan = discovery(min_age="300ms").scan(patience=True)
    assert names(scan, landing) == ["old.json", "young.json"]
    assert 0.2 < scan.seconds < 10
    assert scan.unsettled == 0


def test_without_patience_it_is_left_for_a_later_scan(landing: Path, discovery: Make) -> None:
    touch(landing / "young.json", at=None)
    touch(landing / "old.json")
    made = discovery(min_age="2s")
    scan = admitted(made.scan(patience=False))
    assert (names(scan, landing), scan.unsettled) == (["old.json"], 1)
    time.sleep(2)
    scan = admitted(made.scan(patience=False))
    assert (names(scan, landing), scan.unsettled) == (["old.json", "young.json"], 0)


@pytest.mark.usefixtures("quick_clocks")
def test_a_folder_with_an_unsettled_file_is_not_remembered(landing: Path, discovery: Make) -> None:
    touch(landing / "x" / "a.json", at=time.time() + 0.5)
    touch(landing / "y" / "b.json")
    tick()
    assert names(admitted(discovery().scan(patience=False)), landing) == ["y/b.json"]
    assert names(admitted(discovery().scan(patience=True)), landing) == ["x/a.json"]


@pytest.mark.parametrize("change", ["grows", "touched", "gone"])
def test_a_file_that_changes_while_it_is_waited_for(
    landing: Path, discovery: Make, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    file = touch(landing / "a.json", at=None)
    real = time.sleep

    def sleep(seconds: float) -> None:
        real(seconds)
        if change == "gone":
            file.unlink()
        elif change == "grows":
            touch(file, "more", at=None)
        else:
            os.utime(file, (LONG_AGO, LONG_AGO))

    monkeypatch.setattr(time, "sleep", sleep)
    scan = discovery().scan(patience=True)
    assert (scan.files, scan.unsettled) == ([], 0 if change == "gone" else 1)


def test_a_file_from_the_future_is_handed_out_when_it_was_seen_twice(
    landing: Path, discovery: Make
) -> None:
    file = touch(landing / "a.json", at=time.time() + 10**6)
    assert names(discovery().scan(patience=True), landing) == ["a.json"]
    made = discovery()
    assert made.scan(patience=False).unsettled == 1
    assert made.scan(patience=False).unsettled == 1, "the second look came too soon"
    file.write_text("longer")
    os.utime(file, (time.time() + 10**6,) * 2)
    time.sleep(0.1)
    assert made.scan(patience=False).unsettled == 1, "it changed"
    time.sleep(0.1)
    assert names(made.scan(patience=False), landing) == ["a.json"]


# --- all files, at least once


PLACES = st.lists(st.sampled_from(["x", "y", "_h", ".h", "k=1"]), max_size=3).map("/".join)
NAMES = st.sampled_from(["a.json", "b.json", "c.csv", ".d.json", "_e.json"])
ROUND = st.lists(
    st.tuples(PLACES, NAMES, st.sampled_from(["add", "add", "add", "remove", "fold"])), max_size=6
)


@pytest.mark.usefixtures("quick_clocks")
@settings(max_examples=30)
@given(rounds=st.lists(ROUND, min_size=1, max_size=4), fresh=st.booleans())
def test_every_wanted_file_is_handed_out_and_nothing_of_unchanged_folders(
    tmp_path_factory: pytest.TempPathFactory,
    rounds: list[list[tuple[str, str, str]]],
    fresh: bool,
) -> None:
    top = tmp_path_factory.mktemp("tree")
    landing = top / "landing"
    landing.mkdir()
    source = FileSource(format="json", path_glob_filter="*.json", min_age="1ms")

    def make() -> Discovery:
        return Discovery([str(landing)], source, top / "state", no_spark)

    made = make()
    handed_out: set[str] = set()
    for changes in rounds:
        for place, name, what in changes:
            file = landing / place / name
            if what == "add":
                touch(file)
            elif what == "remove":
                file.unlink(missing_ok=True)
            elif place:
                shutil.rmtree(landing / place, ignore_errors=True)
        tick()
        made = make() if fresh else made
        scan = admitted(made.scan(patience=True))
        there = {
            str(file.relative_to(landing))
            for file in landing.rglob("*.json")
            if not any(part[0] in "._" for part in file.relative_to(landing).parts)
        }
        found = set(names(scan, landing))
        assert found <= there
        handed_out |= found
        assert there <= handed_out
        still = make() if fresh else made
        assert (still.scan(patience=True).files, still.scan(patience=True).folders_listed) == (
            [],
            0,
        )
    shutil.rmtree(top)
