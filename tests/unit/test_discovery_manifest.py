"""Files found from a manifest: what its lines may say, and where reading goes on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medallion_jobs.autoloader.discovery.discovery import Discovery, Scan
from medallion_jobs.autoloader.discovery.notifications import Named, parsed, uri_of
from medallion_jobs.autoloader.file_entry import FileEntry, to_path, to_uri
from medallion_jobs.config.source import FileSource
from medallion_jobs.errors import UsageError

LONG_AGO = 1_700_000_000
Make = Callable[..., Discovery]


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for name in ("landing", "manifest"):
        (tmp_path / name).mkdir()
    return tmp_path / "landing"


@pytest.fixture
def discovery(tmp_path: Path, landing: Path) -> Make:
    """A source whose first listing is done; the folders that it lists are counted in `Scan`."""

    def make(*, listed: bool = True, root: str = str(landing), **options: Any) -> Discovery:
        source = FileSource(
            format="json",
            discovery="manifest",
            manifest=str(tmp_path / "manifest"),
            min_age="50ms",
            **options,
        )
        made = Discovery([root], source, tmp_path / "state", lambda: pytest.fail("no session"))
        if listed:
            made.scan(patience=True).remember()
        return made

    return make


def land(file: Path, size: int = 2) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    os.utime(file, (LONG_AGO, LONG_AGO))
    return file


def append(tmp_path: Path, *lines: object, to: str = "a.jsonl", end: str = "\n") -> None:
    with (tmp_path / "manifest" / to).open("a") as manifest:
        manifest.writelines(
            (line if isinstance(line, str) else json.dumps(line)) + end for line in lines
        )


def paths(scan: Scan) -> list[str]:
    return sorted(Path(to_path(file.path)).name for file in scan.files)


def test_named_files_are_found_without_listing(
    tmp_path: Path, landing: Path, discovery: Make
) -> None:
    made = discovery()
    told = land(landing / "sub" / "told.json", 5)
    land(landing / "untold.json")
    append(
        tmp_path,
        {"path": str(told)},
        {"path": f"file://{landing}/gone%20a.json", "size": 7, "modified": "2026-01-31T10:00:00Z"},
        {"path": f"file:{landing}/gone b.json", "size": 0},
        "",
    )
    scan = made.scan(patience=True)
    assert sorted(scan.files) == [
        FileEntry(0, to_uri(f"{landing}/gone b.json"), 0),
        FileEntry(LONG_AGO * 10**6, to_uri(str(told)), 5),
        FileEntry(1_769_853_600_000_000, to_uri(f"{landing}/gone a.json"), 7),
    ]
    assert (scan.folders_listed, scan.is_whole, scan.complaints) == (0, False, [])


def test_reading_goes_on_where_it_was_when_files_were_admitted(
    tmp_path: Path, landing: Path, discovery: Make
) -> None:
    discovery()
    append(tmp_path, {"path": f"{landing}/a", "size": 1}, {"path": f"{landing}/b", "size": 1})
    append(tmp_path, {"path": f"{landing}/c", "size": 1}, to="b.jsonl")
    append(tmp_path, {"path": f"{landing}/hidden", "size": 1}, to=".h.jsonl")
    append(tmp_path, {"path": f"{landing}/other", "size": 1}, to="note.txt")
    again = discovery(listed=False)
    for _ in range(2):
        assert paths(again.scan(patience=True)) == ["a", "b", "c"]
    again.scan(patience=True).remember()
    assert again.scan(patience=True).files == []
    append(tmp_path, {"path": f"{landing}/d", "size": 1})
    later = discovery(listed=False).scan(patience=True)
    assert paths(later) == ["d"]
    later.remember()
    assert discovery(listed=False).scan(patience=True).files == []


def test_a_line_that_is_still_being_written_is_left(
    tmp_path: Path, landing: Path, discovery: Make
) -> None:
    made = discovery()
    line = json.dumps({"path": f"{landing}/żółć", "size": 1}, ensure_ascii=False)
    for place in range(len(line)):
        append(tmp_path, line[place], end="")
        scan = made.scan(patience=True)
        assert (scan.files, scan.complaints) == ([], [])
        scan.remember()
    append(tmp_path, "")
    assert paths(made.scan(patience=True)) == ["żółć"]


def test_a_bad_line_is_told_once_and_stops_nothing(
    tmp_path: Path, landing: Path, discovery: Make
) -> None:
    made = discovery()
    append(
        tmp_path,
        {"path": f"{landing}/a", "size": 1},
        "{",
        {"path": f"{landing}/gone"},
        {"path": "/elsewhere/x", "size": 1},
        {"path": f"{landing}/../x", "size": 1},
        {"path": f"{landing}/b", "size": 1},
    )
    scan = made.scan(patience=True)
    assert paths(scan) == ["a", "b"]
    file = tmp_path / "manifest" / "a.jsonl"
    assert sorted(scan.complaints) == [
        f"{file}:2: not JSON",
        f"{file}:3: {landing}/gone does not exist, and the line has no `size`",
        f"{file}:4: /elsewhere/x is outside the source's path",
        f"{file}:5: {landing}/../x is outside the source's path",
    ]
    scan.remember()
    append(tmp_path, "[]")
    assert discovery(listed=False).scan(patience=True).complaints == [
        f"{file}:7: not a JSON object"
    ]


def test_what_the_source_does_not_want_is_passed_over(
    tmp_path: Path, landing: Path, discovery: Make
) -> None:
    made = discovery(path_glob_filter="*.json", modified_after="2026-01-01")
    for name in ("a.csv", ".b.json", "_s/c.json", "d.json", "_k=1/e.json"):
        when = "2025-01-01T00:00:00Z" if name == "d.json" else "2026-02-01T00:00:00+01:00"
        append(tmp_path, {"path": f"{landing}/{name}", "size": 1, "modified": when})
    scan = made.scan(patience=True)
    assert (paths(scan), scan.complaints) == (["e.json"], [])


def test_patterns_and_depth_hold_for_named_files_too(
    tmp_path: Path, landing: Path, discovery: Make
) -> None:
    made = discovery(root=f"{landing}/2026-*/in", recursive=False)
    for name in ("2026-01/in/a", "2026-01/in/deep/b", "2025/in/c", "2026-01/in"):
        append(tmp_path, {"path": f"{landing}/{name}", "size": 1})
    scan = made.scan(patience=True)
    assert paths(scan) == ["a", "in"]
    assert len(scan.complaints) == 2


def test_every_folder_is_listed_now_and_then(
    tmp_path: Path, landing: Path, discovery: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(landing / "early")
    first = discovery(listed=False).scan(patience=True)
    assert (paths(first), first.is_whole) == (["early"], True)
    first.remember()
    land(landing / "lost")
    assert discovery(listed=False).scan(patience=True).files == []
    assert paths(discovery(listed=False).scan(patience=True, everything=True)) == ["early", "lost"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100_000)
    assert paths(discovery(listed=False).scan(patience=True)) == ["early", "lost"]


def test_a_file_that_was_still_written_at_the_listing_is_not_lost(
    landing: Path, discovery: Make
) -> None:
    (landing / "young").touch()
    made = discovery(listed=False)
    scan = made.scan(patience=False)
    assert (scan.files, scan.unsettled) == ([], 1)
    scan.remember()
    later = discovery(listed=False).scan(patience=True)
    assert paths(later) == ["young"]
    later.remember()
    assert discovery(listed=False).scan(patience=True).folders_listed == 0


def test_a_file_that_is_both_listed_and_named_comes_once_as_listed(
    tmp_path: Path, landing: Path, discovery: Make
) -> None:
    land(landing / "a", 5)
    append(tmp_path, {"path": f"{landing}/a", "size": 9, "modified": "2026-01-01T00:00:00Z"})
    (found,) = discovery(listed=False).scan(patience=True).files
    assert (found.size, found.modified_us) == (5, LONG_AGO * 10**6)


def test_where_changes_matter_the_store_is_believed(
    tmp_path: Path, landing: Path, discovery: Make
) -> None:
    """A notification's time is not the file's: at the next listing it would look changed."""
    made = discovery(on_changed_file="version")
    land(landing / "a", 5)
    append(tmp_path, {"path": f"{landing}/a", "size": 9, "modified": "2026-01-01T00:00:00Z"})
    (found,) = made.scan(patience=True).files
    assert (found.size, found.modified_us) == (5, LONG_AGO * 10**6)


def test_a_manifest_that_was_begun_anew_is_read_from_its_start(
    tmp_path: Path, landing: Path, discovery: Make
) -> None:
    made = discovery()
    append(tmp_path, *({"path": f"{landing}/{n}", "size": 1} for n in range(3)))
    made.scan(patience=True).remember()
    (tmp_path / "manifest" / "a.jsonl").write_text("")
    append(tmp_path, {"path": f"{landing}/new", "size": 1})
    assert paths(made.scan(patience=True)) == ["new"]


def test_no_manifest_is_told(tmp_path: Path, landing: Path, discovery: Make) -> None:
    (tmp_path / "manifest").rmdir()
    made = discovery(listed=False)
    for look in (made.check, lambda: made.scan(patience=True)):
        with pytest.raises(UsageError, match="there is no manifest folder"):
            look()


# --- lines


def event(key: str, **more: Any) -> dict[str, Any]:
    return {
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-01-31T10:00:00.123Z",
        "s3": {"bucket": {"name": "lake"}, "object": {"key": key, "size": 12}},
        **more,
    }


def test_s3_events() -> None:
    told = {
        "Records": [
            event("in/a+b%3D1%2Bc/%C5%BC%25.json"),
            event("in/gone.json", eventName="ObjectRemoved:Delete"),
            event("in/folder/"),
        ]
    }
    (named,) = parsed(json.dumps(told).encode())
    assert named == Named("s3a://lake/in/a%20b=1+c/ż%25.json", 12, 1_769_853_600_123_000)
    assert to_path(named.path) == "s3a://lake/in/a b=1+c/ż%.json"
    assert parsed(b'{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"lake"}') == []
    assert parsed(b'{"Records":[]}') == []


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("/a b%20", "file:/a%20b%2520"),
        ("file:///a%20b", "file:/a%20b"),
        ("file:/a b", "file:/a%20b"),
        ("s3a://b/c d/ż", "s3a://b/c%20d/ż"),
        ("hdfs://h:9000/a%25", "hdfs://h:9000/a%25"),
    ],
)
def test_paths_and_uris(text: str, uri: str) -> None:
    assert uri_of(text) == uri


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"x", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"1", "not a JSON object"),
        (b"{}", "no `path`"),
        (b'{"path":1}', "no `path`"),
        (b'{"path":"a/b"}', "neither an absolute path nor a URI"),
        (b'{"path":"file://host/b"}', "neither an absolute path nor a URI"),
        (b'{"path":"s3a://b"}', "neither an absolute path nor a URI"),
        (b'{"path":"/a","size":-1}', "`size` is not a number of bytes"),
        (b'{"path":"/a","size":true}', "`size` is not a number of bytes"),
        (b'{"path":"/a","size":"1"}', "`size` is not a number of bytes"),
        (b'{"path":"/a","modified":1}', "`modified` is not a time"),
        (b'{"path":"/a","modified":"soon"}', "`modified` is not a time"),
        (b'{"Records":{}}', "`Records` is not a list"),
        (b'{"Records":[{"s3":{}}]}', "an event without"),
        (b'{"Records":[1]}', "an event without"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(line: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parsed(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["path", "size", "modified", "Records", "s3", "bucket", "object", "key"]
            )
            | st.text(max_size=2),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON.map(lambda told: json.dumps(told).encode()) | st.binary(max_size=40))
def test_any_line_is_understood_or_refused_in_words(line: bytes) -> None:
    try:
        parsed(line)
    except ValueError as refused:
        assert str(refused)
