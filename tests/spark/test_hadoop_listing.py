"""What Hadoop lists, and what Spark calls the files: to the letter what the local store says."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from medallion_jobs.autoloader.discovery.discovery import Discovery
from medallion_jobs.autoloader.discovery.stores import HadoopStore, Listing, LocalStore
from medallion_jobs.autoloader.file_entry import FileEntry, to_path, to_uri
from medallion_jobs.config.source import FileSource

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Of what Spark opens; it takes a `:` only in a path that has no pattern in it.
ODD = (
    "plain.json",
    "with space.json",
    "100%.json",
    "%41.json",
    "a?b.json",
    "[ab].json",
    "{a,b}.json",
    "a#b.json",
    "a+b&c=d.json",
    "quo'te\".json",
    "line\nfeed.json",
    "nbsp\u00a0em\u2003sep\u2028.json",
    "żółć.json",
    "e\u0301.json",
    "\N{PILE OF POO}.json",
    "_x=1.json",
    "; isDirectory=true; length=3.json",
)
LOCAL = LocalStore()


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd %41 żó") / "in"
    (folder / "sub {a}").mkdir(parents=True)
    (folder / "k=1").mkdir()
    for number, name in enumerate(ODD):
        (folder / name).write_text("x" * (number + 1))
        os.utime(folder / name, ns=(0, (1_700_000_000 + number) * 10**9 + 123_456_789))
    (folder / ".hidden").touch()
    (folder / "sub {a}" / "c.JSON.gz").write_bytes(gzip.compress(b"0123456789" * 999))
    return folder


@pytest.fixture
def hadoop(spark: SparkSession) -> HadoopStore:
    return HadoopStore(lambda: spark)


def to_the_millisecond(found: FileEntry) -> FileEntry:
    return FileEntry(found.modified_us // 1000 * 1000, found.path, found.size)


def seen(listing: Listing | None) -> tuple[list[FileEntry], list[str]]:
    assert listing
    return sorted(map(to_the_millisecond, listing.files)), sorted(listing.folders)


def test_a_folder_as_both_stores_list_it(hadoop: HadoopStore, landing: Path) -> None:
    for is_wanted in (lambda _: True, lambda name: name.startswith("a")):
        local = LOCAL.list(str(landing), is_wanted)
        assert seen(hadoop.list(str(landing), is_wanted)) == seen(local)
    assert hadoop.list(str(landing / "gone"), lambda _: True) is None
    assert seen(hadoop.list(str(landing / "k=1"), lambda _: True)) == ([], [])


def test_a_file_as_both_stores_tell_of_it(hadoop: HadoopStore, landing: Path) -> None:
    for name in (ODD[2], ODD[10], ODD[12]):
        uri = to_uri(str(landing / name))
        local, remote = LOCAL.stat(uri), hadoop.stat(uri)
        assert local
        assert remote == to_the_millisecond(local)
        assert hadoop.read(uri, 1, 3) == LOCAL.read(uri, 1, 3)
    for name in ("gone", "k=1"):
        assert hadoop.stat(to_uri(str(landing / name))) is None
    assert [hadoop.is_folder(str(landing / name)) for name in ("k=1", ODD[0], "gone")] == [
        True, False, False
    ]  # fmt: skip
    packed = to_uri(str(landing / "sub {a}" / "c.JSON.gz"))
    for n in (0, 4, 9_990, 10_000):
        assert hadoop.head(packed, n) == LOCAL.head(packed, n) == (b"0123456789" * 999)[:n]
    with pytest.raises(OSError, match="gone"):
        hadoop.head(to_uri(str(landing / "gone")), 1)


def test_spark_calls_files_what_the_stores_call_them(spark: SparkSession, landing: Path) -> None:
    local = LOCAL.list(str(landing), lambda name: not name.startswith("."))
    assert local
    paths = [to_path(file.path) for file in local.files]
    assert sorted(paths) == sorted(str(landing / name) for name in ODD)
    # Spark takes the paths of a reader for patterns; a folder it lists itself.
    rows = spark.read.text(str(landing)).select(
        "_metadata.file_path", "_metadata.file_size", "_metadata.file_modification_time"
    )
    told = {(row[0], row[1]): round(row[2].timestamp() * 1000) for row in rows.distinct().collect()}
    assert told == {(file.path, file.size): file.modified_us // 1000 for file in local.files}


def test_discovery_over_hadoop(
    hadoop: HadoopStore, landing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FileSource(format="json", path_glob_filter="*.{json,gz}")

    def found(roots: list[str]) -> list[FileEntry]:
        discovery = Discovery(roots, source, tmp_path / "state", hadoop._spark_of)
        for _ in range(2):
            scan = discovery.scan(patience=True)
            scan.remember()
            assert scan.is_whole
        return sorted(map(to_the_millisecond, scan.files))

    both = [str(landing.parent / "i[mn]"), str(landing / "sub {a}")]
    local = Discovery(both, source, tmp_path / "own", hadoop._spark_of).scan(patience=True)
    monkeypatch.setattr(
        "medallion_jobs.autoloader.discovery.discovery.store_for", lambda *_: hadoop
    )
    assert len(local.files) == len(ODD) + 1
    assert found(both) == sorted(map(to_the_millisecond, local.files))
