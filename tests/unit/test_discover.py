"""A look at the source, again and again, as a run that goes on for days does it. No JVM."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark import SparkContext

from medallion_jobs.autoloader import AutoLoader
from medallion_jobs.autoloader.archive.cleanup import Cleaned
from medallion_jobs.autoloader.archive.registrations import Reader, register
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.config import pipeline_from_values
from medallion_jobs.errors import UsageError


def loader_of(folder: Path, table: str = "t", **source: object) -> AutoLoader:
    """A loader of `in`, whose ledger is there; `source` has further keys."""
    for name in ("in", "names"):
        (folder / name).mkdir()
    files = {"format": "json", "path": str(folder / "in"), "min_age": "1ms", **source}
    storage = {"root": str(folder / "lake")}
    values = {"pipeline": "p", "storage": storage, "bronze": {table: {"source": files}}}
    made = AutoLoader.to_table(pipeline_from_values(values, "a test"), table)
    made.ledger.ensure()
    return made


@pytest.fixture
def loader(tmp_path: Path) -> AutoLoader:
    return loader_of(tmp_path)


def land(path: Path) -> None:
    """Lands a file that nobody is writing any more."""
    path.write_text("{}")
    os.utime(path, (1_700_000_000, 1_700_000_000))


def test_a_landing_folder_that_takes_no_registration_is_told_once(tmp_path: Path) -> None:
    loader = loader_of(tmp_path, register_as_reader=True)
    (tmp_path / "in" / ".medallion").symlink_to(tmp_path)
    assert ["not registered" in remark for remark in loader.discover()] == [True]
    assert list(loader.discover()) == []


def everything_in(folder: Path) -> dict[str, int]:
    """Folders and files, with the times at which they changed."""
    return {str(path): path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


def seen_by_others(folder: Path) -> list[str]:
    """The files that another program takes for data, by the globs that people write."""
    globs = ("**/*.json", "**/*.csv", "*/*/*.json", "_*/*/*")
    wanted = [f"SELECT file FROM glob('{folder}/{glob}')" for glob in globs]
    found = duckdb.sql(" UNION ".join(wanted)).fetchall()
    return sorted(Path(path).name for (path,) in found)


@pytest.mark.parametrize("table", ["t", "json"])
@pytest.mark.parametrize("registers", [None, False, True, "cleans"])
def test_a_source_is_written_to_only_if_the_config_says_so(
    tmp_path: Path, registers: object, table: str
) -> None:
    cleans = registers == "cleans"
    source = {
        "clean_source": {"mode": "delete", "retention": "30d"} if cleans else {},
        "register_as_reader": None if cleans else registers,
    }
    landing = tmp_path / "in"
    loader = loader_of(tmp_path, table, **source)
    (landing / "a").mkdir()
    land(landing / "a" / "b.json")
    before, told = everything_in(landing), seen_by_others(landing)
    assert list(loader.discover()) == list(loader.discover()) == []
    assert len(loader.ledger.waiting()) == 1
    added = everything_in(landing).keys() - before.keys()
    if registers in (None, False):
        assert everything_in(landing) == before
    else:
        assert {Path(path).name for path in added} == {".medallion", "readers", f"p.{table}.reader"}
    assert seen_by_others(landing) == told == ["b.json"]


OLD = "_medallion/readers/p.t.json"


def with_an_old_registration(folder: Path, **source: object) -> AutoLoader:
    """A loader, as a version before this one left its source."""
    loader = loader_of(folder, **source)
    registration = folder / "in" / OLD
    registration.parent.mkdir(parents=True)
    place = {"ledger": str(loader.paths.ledger), "storage": str(folder / "lake")}
    registration.write_text(json.dumps({"pipeline": "p", "table": "t", **place}))
    return loader


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({}, "no longer registered"),
        ({"register_as_reader": False}, "no longer registered"),
        ({"register_as_reader": True}, None),
        ({"clean_source": {"mode": "delete", "retention": "30d"}}, None),
    ],
)
def test_the_registration_of_an_earlier_version_goes(
    tmp_path: Path, source: dict[str, object], told: str | None
) -> None:
    loader = with_an_old_registration(tmp_path, **source)
    remarks = [*loader.discover(), *loader.discover()]
    assert [told in remark for remark in remarks if told] == [True] * bool(told)
    assert not (tmp_path / "in" / "_medallion").exists()
    assert (tmp_path / "in" / ".medallion" / "readers" / "p.t.reader").exists() == (told is None)


def test_tables_of_one_config_do_not_keep_each_other(tmp_path: Path) -> None:
    """They know of each other without registrations, as those of its other builds do."""
    loader = with_an_old_registration(tmp_path)
    values = loader.config.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    source = values["bronze"]["t"]["source"]
    (tmp_path / "in" / "deep").mkdir()
    values["bronze"]["u"] = {"source": {**source, "path": str(tmp_path / "in" / "deep")}}
    config = pipeline_from_values(values, "a test")
    loaders = [
        AutoLoader.to_table(config, "t"),
        AutoLoader.to_table(config, "t", slot="again"),
        AutoLoader.to_table(config, "u"),
    ]
    for made in loaders:
        made.ledger.ensure()
        me = Reader.of(made.paths)
        for root in made.roots:
            assert register(root, me) is None
    remarks = [remark for made in loaders for remark in made.discover()]
    assert ["no longer registered" in remark for remark in remarks] == [True] * 3
    assert not list(tmp_path.rglob("*.reader"))


@pytest.mark.parametrize("neighbour", ["in", "."])
def test_but_not_beside_a_reader_that_may_clean(tmp_path: Path, neighbour: str) -> None:
    """Nor is it lost that somebody has not read the files, because of a new version."""
    loader = with_an_old_registration(tmp_path)
    other = Reader("her", "t", "/her/ledger", "/her")
    assert register(str(tmp_path / neighbour), other) is None
    (remark,) = loader.discover()
    assert "stays registered" in remark
    assert "her.t may clean it; set register_as_reader" in remark
    assert (tmp_path / "in" / OLD).exists()


def test_a_source_of_which_nothing_may_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = with_an_old_registration(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", refuse)
    (remark,) = loader.discover()
    assert "stays registered" in remark
    assert "Read-only file system" in remark


def test_the_source_is_cleaned_now_and_then_and_on_until_nothing_is_due(
    loader: AutoLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = [Cleaned(waiting=5), Cleaned(waiting=0), Cleaned(waiting=0)]
    monkeypatch.setattr(loader.cleaner, "clean", lambda _: rounds.pop(0))
    left = []
    for _ in range(4):
        loader.discover()
        left.append(len(rounds))
    assert left == [2, 1, 1, 1]


@pytest.mark.parametrize("name", ["März ☃.json", "k=Öst/a.json"])
def test_a_file_that_the_jvm_cannot_open_is_not_taken_for_a_missing_one(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = loader_of(tmp_path)
    (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
    land(tmp_path / "in" / name)
    encoding = ["ANSI_X3.4-1968"]
    system = SimpleNamespace(getProperty=lambda _: encoding[0])
    jvm = SimpleNamespace(java=SimpleNamespace(lang=SimpleNamespace(System=system)))
    monkeypatch.setattr(SparkContext, "_jvm", jvm)
    with pytest.raises(UsageError, match=name.partition(".")[0]) as refused:
        loader.discover()
    assert "LC_ALL=C.UTF-8" in refused.value.next_step
    assert len(loader.ledger.waiting()) == 0
    encoding[0] = "UTF-8"
    loader.discover()
    assert len(loader.ledger.waiting()) == 1


def test_what_waits_can_be_looked_through_while_more_is_found(
    loader: AutoLoader, tmp_path: Path
) -> None:
    land(tmp_path / "in" / "a")
    land(tmp_path / "in" / "b")
    loader.discover()
    seen = []
    for file in loader.ledger.waiting():
        seen.append(file)
        loader.ledger.admit([FileEntry(1, f"file:/more-{len(seen)}", 2)])
    assert len(seen) == 2
    assert len(loader.ledger.waiting()) == 4


def chunks_of(loader: AutoLoader) -> list[int]:
    """How many files each admitted chunk has, in the order of the ledger."""
    counts = pa.table(DeltaTable(loader.ledger.discovered).get_add_actions())
    in_order = counts.sort_by([("modification_time", "ascending"), ("path", "ascending")])
    return in_order.column("num_records").to_pylist()


def test_what_is_found_while_a_batch_runs_becomes_one_chunk(
    loader: AutoLoader, tmp_path: Path
) -> None:
    land(tmp_path / "in" / "first")
    loader.discover()
    with loader._admission.batch(loader.ledger.waiting()) as recorded:
        for number in range(50):
            land(tmp_path / "in" / f"{number:02}")
            loader.discover()
        assert chunks_of(loader) == [1]
        recorded()
        assert chunks_of(loader) == [1, 50]
    land(tmp_path / "in" / "last")
    loader.discover()
    assert chunks_of(loader) == [1, 50]  # the query has not taken the fifty


def test_files_found_while_chunks_wait_fill_up_to_the_limit(tmp_path: Path) -> None:
    loader = loader_of(tmp_path, max_files_per_trigger=3)
    for number in range(7):
        land(tmp_path / "in" / f"a{number}")
    loader.discover()
    assert sorted(chunks_of(loader)) == [1, 3, 3]
    first = list(loader.ledger.waiting())
    with loader._admission.batch(first[:3]) as recorded:
        recorded()
    for number in range(4):
        land(tmp_path / "in" / f"b{number}")
        loader.discover()
    assert sorted(chunks_of(loader)) == [1, 3, 3]  # two of these are not taken
    with loader._admission.batch(first[3:]) as recorded:
        recorded()
    assert sorted(chunks_of(loader)) == [1, 1, 3, 3, 3]


def test_a_failed_batch_does_not_hold_files_back_for_good(
    loader: AutoLoader, tmp_path: Path
) -> None:
    land(tmp_path / "in" / "first")
    loader.discover()
    with suppress(RuntimeError), loader._admission.batch(loader.ledger.waiting()):
        raise RuntimeError
    land(tmp_path / "in" / "second")
    loader.discover()
    assert chunks_of(loader) == [1, 1]


def test_a_complaint_is_told_once_while_a_listing_is_held(tmp_path: Path) -> None:
    loader = loader_of(tmp_path, discovery="manifest", manifest=str(tmp_path / "names"))
    loader.discover()
    with loader._admission.batch([]):
        (tmp_path / "names" / "1.jsonl").write_text("no json\n")
        told = [loader.discover(), loader.discover(), loader.discover()]
    assert [len(one) for one in told] == [1, 0, 0], told
