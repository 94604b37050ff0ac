"""How files' names are written, what a store tells of them, and the first bytes in them."""

from __future__ import annotations

import bz2
import gzip
import os
import struct
import zlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medallion_jobs.autoloader.discovery.patterns import (
    alternatives,
    compiled,
    fixed_parent,
    has_magic,
)
from medallion_jobs.autoloader.discovery.statuses import parsed
from medallion_jobs.autoloader.discovery.stores import HadoopStore, LocalStore, store_for
from medallion_jobs.autoloader.file_entry import FileEntry, to_path, to_uri

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
TEXT = b"0123456789" * 20_000
LOCAL = LocalStore()


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


def test_odd_names_are_listed_and_can_be_looked_up(tmp_path: Path) -> None:
    for name in ODD:
        (tmp_path / name).write_text(name if name.isascii() else "x")
    listing = LOCAL.list(str(tmp_path), lambda _: True)
    assert listing
    assert {one.path for one in listing.files} == {to_uri(f"{tmp_path}/{name}") for name in ODD}
    assert [LOCAL.stat(one.path) for one in listing.files] == listing.files
    for one in listing.files:
        assert LOCAL.head(one.path, 3) == Path(to_path(one.path)).read_bytes()[:3]


def test_only_wanted_names_are_looked_at(tmp_path: Path) -> None:
    for name in ("a.json", "b.csv"):
        (tmp_path / name).touch()
    listing = LOCAL.list(str(tmp_path), lambda name: name.endswith(".csv"))
    assert listing
    assert [to_path(one.path) for one in listing.files] == [f"{tmp_path}/b.csv"]


def test_what_is_gone_or_no_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    assert LOCAL.list(str(tmp_path / "gone"), lambda _: True) is None
    assert LOCAL.list(str(tmp_path / "file"), lambda _: True) is None
    assert LOCAL.stamp(str(tmp_path / "gone")) is None
    for name in ("gone", "link", "file/below", ""):
        assert LOCAL.stat(to_uri(f"{tmp_path}/{name}")) is None
    assert not LOCAL.is_folder(str(tmp_path / "file"))
    assert LOCAL.is_folder(str(tmp_path / "link"))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", TEXT),
        ("a.json.gz", gzip.compress(TEXT)),
        ("A.JSON.GZ", gzip.compress(TEXT)),
        ("two.gz", gzip.compress(TEXT[:15]) + gzip.compress(TEXT[15:])),
        ("a.bz2", bz2.compress(TEXT)),
        ("a.Zst", pa.Codec("zstd").compress(TEXT, asbytes=True)),
        ("a.deflate", zlib.compress(TEXT)),
        ("gz", TEXT),
        (".gz", TEXT),
    ],
)
def test_the_first_bytes_of_what_is_in_a_file(tmp_path: Path, name: str, data: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    uri = to_uri(str(file))
    for n in (0, 1, 20, 100_000, len(TEXT), len(TEXT) + 1):
        assert LOCAL.head(uri, n) == TEXT[:n]
    assert LOCAL.read(uri, 3, 5) == data[3:8]
    file.write_bytes(b"")
    assert LOCAL.head(uri, 10) == b""


@pytest.mark.parametrize("name", ["a.gz", "a.bz2", "a.zst", "a.deflate", "a.snappy", "gone.json"])
def test_what_cannot_be_decompressed_is_an_os_error_that_names_it(
    tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    if "gone" not in name:
        file.write_bytes(b"this is not compressed at all" * 9)
    with pytest.raises(OSError, match=name):
        LOCAL.head(to_uri(str(file)), 10)


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/a:b", LocalStore),
        ("file:/a", LocalStore),
        ("file:///a", LocalStore),
        ("a/b", LocalStore),
        ("s3a://b/c", HadoopStore),
        ("hdfs://h:9000/x", HadoopStore),
    ],
)
def test_which_store(place: str, kind: type) -> None:
    assert isinstance(store_for(place, lambda: pytest.fail("a session was asked for")), kind)


def test_statuses_as_hadoop_writes_them() -> None:
    def varint(n: int) -> bytes:
        more = b""
        while n > 127:
            more += bytes([n & 127 | 128])
            n >>= 7
        return more + bytes([n])

    def status(kind: int, path: str, size: int, modified: int) -> bytes:
        name = path.encode()
        message = b"\x08" + varint(kind) + b"\x12" + varint(len(name)) + name
        message += b"\x18" + varint(size) + b"\x22\x02\x08\x07"  # permissions: a message
        message += b"\x38" + varint(modified & (1 << 64) - 1)
        return text("FileStatus") * 2 + struct.pack(">i", len(message)) + message

    def text(name: str) -> bytes:
        return struct.pack(">H", len(name)) + name.encode()

    array = text("[Lorg.apache.hadoop.fs.FileStatus;")
    data = array + struct.pack(">i", 2)
    data += status(2, "s3a://b/c/żó ł%.json", 1 << 40, -5) + status(1, "file:/x/y", 0, 0)
    file, folder = parsed(data)
    assert file.found("s3a://b/c/") == FileEntry(-5000, "s3a://b/c/żó%20ł%25.json", 1 << 40)
    assert (file.is_file, folder.is_folder, folder.is_file, folder.name) == (True, True, False, "y")
    assert list(parsed(array + struct.pack(">i", 0))) == []


# --- patterns


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("*", ["a", "a\nb", ""], []),
        ("a?c", ["abc", "a\nc"], ["ac", "abbc"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[!a-c]x", ["dx", "^x"], ["ax"]),
        ("[^a]", ["b"], ["a"]),
        ("[]]", ["]"], ["["]),
        ("[[]", ["["], ["]"]),
        ("\\*\\{", ["*{"], ["a{"]),
        ("a.b+", ["a.b+"], ["axb+", "a.bb"]),
        ("{a,b{c,d}}.{x,}", ["a.x", "bc.", "bd.x"], ["b.x", "{a.x"]),
        ("[{,}]a", ["{a", ",a"], ["a"]),
    ],
)
def test_names_and_patterns(pattern: str, fits: list[str], fits_not: list[str]) -> None:
    regex = compiled(pattern)
    assert [name for name in fits + fits_not if regex.fullmatch(name)] == fits


@pytest.mark.parametrize("pattern", ["[", "[a", "{a", "{a,{b}", "a\\", "[z-a]", "[?--]"])
def test_no_patterns(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"`.*`"):
        compiled(pattern)


@given(st.text("ab*?[]{},\\!^-", max_size=12))
def test_any_text_is_a_pattern_or_refused_in_words(text: str) -> None:
    try:
        regex = compiled(text)
    except ValueError as refused:
        assert "`" in str(refused)
    else:
        assert has_magic(text) or regex.fullmatch(text)
        assert all(compiled(one) for one in alternatives(text))


@pytest.mark.parametrize(
    ("pattern", "parent"),
    [
        ("/a/b", "/a/b"),
        ("/a/*/b", "/a"),
        ("/a/{b,c}", "/a"),
        ("/*", "/"),
        ("s3a://bucket/a/2*", "s3a://bucket/a"),
        ("s3a://bucket/*", "s3a://bucket/"),
    ],
)
def test_what_has_to_be_there_before_anything_lands(pattern: str, parent: str) -> None:
    assert fixed_parent(pattern) == parent
