"""Which files a listing finds, and how it writes their names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medallion_jobs.autoloader import Found, check_folder, scan, to_path, to_uri
from medallion_jobs.errors import UsageError

ODD = (
    "with space.json",
    "100%.json",
    "%41.json",
    "a?b.json",
    "*.json",
    "[ab].json",
    "{a,b}.json",
    "a#b.json",
    "a+b&c=d.json",
    "a:b.json",
    "quo'te\".json",
    "back\\slash.json",
    "line\nfeed.json",
    "tab\tbell\a.json",
    "nbsp\u00a0em\u2003sep\u2028.json",
    "żółć.json",
    "e\u0301.json",
    "\N{PILE OF POO}.json",
    os.fsdecode(b"not utf-8 \xff\xe2\x82.json"),
    "-rf",
    "noending",
)


def names_in(folder: Path) -> set[str]:
    return {str(Path(to_path(found.path)).relative_to(folder)) for found in scan(folder)}


def touch(file: Path, text: str = "{}") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


# --- names


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/a b", "file:/a%20b"),
        ("/100%", "file:/100%25"),
        ("/%41", "file:/%2541"),
        ("/a?b#c", "file:/a%3Fb%23c"),
        ("/[a]{b}", "file:/%5Ba%5D%7Bb%7D"),
        ('/"<>\\^`|', "file:/%22%3C%3E%5C%5E%60%7C"),
        ("/_-!.~'()*,;:$&+=@", "file:/_-!.~'()*,;:$&+=@"),
        ("/a\nb\x7f", "file:/a%0Ab%7F"),
        ("/a\u00a0b", "file:/a%C2%A0b"),
        ("/a\u2028b", "file:/a%E2%80%A8b"),
        ("/a\x85b", "file:/a%C2%85b"),
        ("/żółć", "file:/żółć"),
        ("/\N{PILE OF POO}", "file:/\N{PILE OF POO}"),
        ("/\udcff", "file:/%FF"),
    ],
)
def test_a_name_is_written_as_spark_writes_it(path: str, uri: str) -> None:
    assert to_uri(path) == uri
    assert to_path(uri) == path


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.binary().map(os.fsdecode))
def test_any_name_comes_back(name: str) -> None:
    uri = to_uri(f"/{name}")
    assert to_path(uri) == f"/{name}"
    uri.encode()


def test_odd_names_are_found_and_can_be_opened(tmp_path: Path) -> None:
    for name in ODD:
        touch(tmp_path / name, name if name.isascii() else "x")
    found = list(scan(tmp_path))
    assert {to_path(one.path) for one in found} == {str(tmp_path / name) for name in ODD}
    assert all(Path(to_path(one.path)).stat().st_size == one.size for one in found)


# --- what is a file


def test_hidden_and_temporary_names_are_left_out_with_all_below(tmp_path: Path) -> None:
    for name in ("a.json", "sub/b.json", ".c.json", "_d.json", ".sub/e.json", "_sub/f.json"):
        touch(tmp_path / name)
    assert names_in(tmp_path) == {"a.json", "sub/b.json"}


def test_only_the_name_below_the_folder_may_hide(tmp_path: Path) -> None:
    touch(tmp_path / ".landing" / "_today" / "a.json")
    assert names_in(tmp_path / ".landing" / "_today") == {"a.json"}


def test_links_pipes_and_folders_are_no_files(tmp_path: Path) -> None:
    outside = touch(tmp_path / "outside" / "secret.json")
    landing = tmp_path / "landing"
    touch(landing / "folder.json" / "inner.json")
    touch(landing / "a.json")
    (landing / "to_file.json").symlink_to(outside)
    (landing / "to_folder").symlink_to(outside.parent)
    (landing / "to_itself").symlink_to(landing)
    (landing / "to_nowhere").symlink_to("gone")
    os.mkfifo(landing / "pipe.json")
    assert names_in(landing) == {"a.json", "folder.json/inner.json"}


def test_a_landing_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.json")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert names_in(tmp_path / "link") == {"a.json"}


def test_one_name_in_two_folders_is_two_files(tmp_path: Path) -> None:
    for name in ("x/a.json", "y/z/a.json"):
        touch(tmp_path / name)
    assert names_in(tmp_path) == {"x/a.json", "y/z/a.json"}


def test_nothing_is_found_in_an_empty_folder(tmp_path: Path) -> None:
    assert list(scan(tmp_path)) == []


def test_a_file_that_goes_away_under_the_listing_is_left_out(tmp_path: Path) -> None:
    for number in range(5):
        touch(tmp_path / f"{number}.json")
        touch(tmp_path / f"sub{number}" / "a.json")
    listing = scan(tmp_path)
    first = next(listing)
    for path in tmp_path.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif str(path) != to_path(first.path):
            path.unlink()
    assert list(listing) == []


# --- sizes and times


@pytest.mark.parametrize("seconds", [-86_400, 0, 1_700_000_000, 4_000_000_000])
def test_times_before_1970_and_in_the_future(tmp_path: Path, seconds: int) -> None:
    file = touch(tmp_path / "a.json", "1234")
    os.utime(file, ns=(0, seconds * 10**9 + 123_456_789))
    assert list(scan(tmp_path)) == [Found(seconds * 10**6 + 123_456, f"file:{file}", 4)]


# --- no folder


@pytest.mark.parametrize("there", ["nothing", "a file"])
def test_no_landing_folder_is_told_with_the_command_that_makes_one(
    tmp_path: Path, there: str
) -> None:
    folder = tmp_path / "landing"
    if there == "a file":
        touch(folder)
    for look in (check_folder, lambda at: next(scan(at))):
        with pytest.raises(UsageError) as refused:
            look(folder)
        assert str(folder) in refused.value.what
        assert "medallion generate" in refused.value.next_step
        assert refused.value.untouched
