"""Fourteen things that Spark's own file source does wrong, each beside what is done here.

A probe runs both over the same files, asserts what each of them did, and holds its line of
the table in docs/autoloader.md against it. `MEDALLION_WRITE_DOCS=1` writes the table instead.
Those whose side of ours is held in CI by test_policies.py (3) and test_finding.py (10, 12) are
of the full matrix.
"""

from __future__ import annotations

import gzip
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from pyspark.errors import IllegalArgumentException, PySparkException, StreamingQueryException
from support.lake import Lake, batches, local, order
from support.native import SCHEMA, WRITES, Native, Table, as_spark_comes, listing_jobs

from medallion_jobs import bronze
from medallion_jobs.errors import MedallionError, UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY = 24 * 60 * 60
SOURCE = "bronze.sales.source"
COLUMNS = [column.split()[0] for column in SCHEMA.split(", ")]
NOTHING = dict.fromkeys(COLUMNS)


@pytest.fixture(scope="session")
def probes() -> Iterator[Table]:
    table = Table()
    yield table
    if WRITES:
        table.write()


@pytest.fixture(scope="module")
def plain(spark: SparkSession) -> SparkSession:
    """A session in which the file source is as Spark comes."""
    return as_spark_comes(spark)


MakeNative = Callable[[Lake], Native]


@pytest.fixture
def native_of(plain: SparkSession, tmp_path: Path) -> MakeNative:
    """Makes the native counterpart of a lake, over the same landing folder."""
    return lambda lake: Native(plain, lake.folder, tmp_path / "native")


class Both(NamedTuple):
    """One folder, loaded by both."""

    native: Native
    ours: Lake

    def ours_of(self, name: str) -> list[dict[str, object]]:
        rows = self.ours.rows("bronze.sales")
        return [row for row in rows if row["_input_file"].endswith(f"/{name}")]


@pytest.fixture(scope="module")
def mixed(plain: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """An old file, a new field, a value of another type, a cut-off line.

    Two runs of each side: to Spark a file is old beside those that it has seen before.
    """
    folder = tmp_path_factory.mktemp("mixed")
    lake = Lake.at(folder, f"{SOURCE}.schema_evolution=add_new_columns")
    lake.generate(0)
    lake.drop("today.json", order(order_id="today"))
    native = Native(plain, lake.folder, folder / "native")
    native.run()
    lake.run("bronze")
    lake.drop("old.json", order(order_id="old"), at=-8 * DAY)
    lake.drop("new_field.json", order(order_id="new", coupon="SPRING"))
    lake.drop("other_type.json", order(order_id="other", quantity="a dozen"))
    lake.drop("cut.json", order(order_id="whole"), '{"order_id": "cut", "quan')
    native.run()
    lake.run("bronze")
    return Both(native, lake)


def test_1_a_file_older_than_the_newest_by_more_than_a_week(mixed: Both, probes: Table) -> None:
    assert mixed.native.rows_of("old.json") == []
    assert [row["order_id"] for row in mixed.ours_of("old.json")] == ["old"]
    probes.record(1)


def test_2_a_file_that_is_still_being_written(
    lake: Lake, native_of: MakeNative, probes: Table
) -> None:
    whole = [order(order_id="first"), order(order_id="second")]
    text = "\n".join(whole) + "\n"
    half, rest = text[: len(whole[0]) + 20], text[len(whole[0]) + 20 :]
    path = lake.folder / "slow.json"

    native = native_of(lake)
    path.write_text(half)
    native.run()
    path.write_text(text)
    native.run()
    rows = native.rows_of("slow.json")
    assert sorted(row["order_id"] or "" for row in rows) == ["", "first"]
    assert NOTHING in rows

    path.unlink()
    path.write_text(half)
    writer = threading.Timer(0.5, lambda: _append(path, rest))
    writer.start()
    patient = lake.having(f"{SOURCE}.min_age=1s")
    patient.run("bronze")
    writer.join()
    time.sleep(1)  # now it is old enough
    patient.run("bronze")
    assert sorted(row["order_id"] for row in lake.rows("bronze.sales")) == ["first", "second"]
    assert lake.files()[str(path)]["bad"] == 0
    probes.record(2)


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.mark.slow
def test_3_a_file_that_is_gone_when_its_batch_is_run_again(
    lake: Lake, native_of: MakeNative, probes: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays = lake.drop("stays.json", order(order_id="stays"))
    goes = lake.drop("goes.json", order(order_id="goes"))

    native = native_of(lake)
    native.plan_only()
    goes.unlink()
    native.run()
    assert [row["order_id"] for row in native.rows()] == ["stays"]

    lake.drop("goes.json", order(order_id="goes"))
    with monkeypatch.context() as patch:
        patch.setattr(type(bronze.streams(lake.config)[0]), "write", _crash)
        with pytest.raises(Exception, match="a crash"):
            lake.run("bronze")
    goes.unlink()
    with pytest.raises(MedallionError, match=r"goes\.json"):
        lake.having(f"{SOURCE}.on_missing_file=fail").run("bronze")
    lake.having(f"{SOURCE}.on_missing_file=mark").run("bronze")
    assert [row["order_id"] for row in lake.rows("bronze.sales")] == ["stays"]
    states = {path: one["state"] for path, one in lake.files().items()}
    assert states == {str(stays): "COMMITTED", str(goes): "MISSING"}
    probes.record(3)


def _crash(*_: object) -> None:
    raise RuntimeError("a crash")


def test_4_a_new_field(mixed: Both, probes: Table) -> None:
    (native,) = mixed.native.rows_of("new_field.json")
    assert "coupon" not in native
    (ours,) = mixed.ours_of("new_field.json")
    assert (ours["coupon"], ours["_rescued_data"]) == ("SPRING", None)
    probes.record(4)


def test_5_a_value_of_another_type(mixed: Both, probes: Table) -> None:
    (native,) = mixed.native.rows_of("other_type.json")
    assert (native["order_id"], native["quantity"]) == ("other", None)
    (ours,) = mixed.ours_of("other_type.json")
    assert (ours["order_id"], ours["quantity"]) == ("other", None)
    assert json.loads(str(ours["_rescued_data"]))["quantity"] == "a dozen"
    probes.record(5)


@pytest.mark.slow
def test_6_a_line_that_is_cut_off(mixed: Both, probes: Table) -> None:
    rows = mixed.native.rows_of("cut.json")
    assert [row["order_id"] for row in rows if row["customer_id"]] == ["whole"]
    (broken,) = (row for row in rows if not row["customer_id"])
    assert broken == NOTHING
    assert [row["order_id"] for row in mixed.ours_of("cut.json")] == ["whole"]
    (bad,) = mixed.ours.rows("quarantine/bronze/sales")
    assert bad["line"] == '{"order_id": "cut", "quan'
    assert (Path(local(bad["file"])).name, bad["reason"]) == ("cut.json", "not valid JSON")
    assert bad["batch"] == 1
    probes.record(6)


@pytest.mark.slow
def test_7_one_broken_archive_among_a_hundred(
    lake: Lake, native_of: MakeNative, probes: Table
) -> None:
    for number in range(99):
        lake.drop(f"good-{number:02}.json", order(order_id=f"good-{number}"))
    packed = gzip.compress("\n".join([order()] * 500).encode())
    bad = lake.drop_bytes("bad.json.gz", packed[: len(packed) // 2])

    native = native_of(lake)
    for _ in range(2):
        with pytest.raises(StreamingQueryException):
            native.run()
        assert not any(native.table.glob("_delta_log/*1.json"))

    (done,) = batches(lake.run("bronze"), "bronze.sales")
    assert (done.files, done.rows_out) == (100, 99)
    ours = lake.files()[str(bad)]
    assert ours["state"] == "QUARANTINED"
    assert ours["error"]
    probes.record(7)


@pytest.mark.slow
def test_8_a_file_that_is_overwritten(
    lake: Lake, native_of: MakeNative, probes: Table, tmp_path: Path
) -> None:
    path = lake.drop("daily.json", order(order_id="before"))
    native = native_of(lake)
    native.run()
    lake.run("bronze")
    policies = {"ignore": ["before"], "reprocess": ["after"], "version": ["after", "before"]}
    copies = {name: lake.copy(tmp_path / name) for name in (*policies, "fail")}
    lake.drop("daily.json", order(order_id="after"), at=60)

    native.run()
    assert [row["order_id"] for row in native.rows()] == ["before"]

    for policy, expected in policies.items():
        ours = copies[policy].having(f"{SOURCE}.on_changed_file={policy}")
        ours.run("bronze")
        assert sorted(row["order_id"] for row in ours.rows("bronze.sales")) == expected, policy
    failing = copies["fail"].having(f"{SOURCE}.on_changed_file=fail")
    with pytest.raises(MedallionError, match=path.name):
        failing.run("bronze")
    assert [row["order_id"] for row in failing.rows("bronze.sales")] == ["before"]
    probes.record(8)


def test_9_files_that_are_done_with(
    lake: Lake, native_of: MakeNative, probes: Table, tmp_path: Path
) -> None:
    names = {"a.json", "b.json"}
    for name in names:
        lake.drop(name, order(order_id=name))
    copy = lake.having(f"landing.root={tmp_path / 'again'}")
    shutil.copytree(lake.folder, tmp_path / "again" / "sales")
    archive = tmp_path / "archive"

    native = native_of(lake)
    cleaning = {"cleanSource": "archive", "sourceArchiveDir": archive / "native"}
    native.run(**cleaning)
    native.run(**cleaning)
    assert len(native.rows()) == 2
    assert {path.name for path in lake.folder.glob("*.json")} == names

    moving = copy.having(
        f"{SOURCE}.clean_source.mode=move",
        f"{SOURCE}.clean_source.retention=1ms",
        f"{SOURCE}.clean_source.move_to={archive / 'ours'}",
    )
    moving.run("bronze")
    moving.run("bronze")
    assert len(copy.rows("bronze.sales")) == 2
    assert not any((tmp_path / "again" / "sales").glob("*.json"))
    assert {path.name for path in (archive / "ours").rglob("*.json")} == names
    probes.record(9)


@pytest.mark.slow
def test_10_caps_on_files_and_on_bytes(lake: Lake, native_of: MakeNative, probes: Table) -> None:
    for number in range(4):
        lake.drop(f"{number}.json", order(order_id=str(number)), at=number)
    native = native_of(lake)
    with pytest.raises(PySparkException, match="maxBytesPerTrigger"):
        native.run(maxFilesPerTrigger=2, maxBytesPerTrigger=10_000_000)
    with pytest.raises((PySparkException, IllegalArgumentException), match="10m"):
        native.run(maxBytesPerTrigger="10m")

    capped = lake.having(f"{SOURCE}.max_files_per_trigger=3", f"{SOURCE}.max_bytes_per_trigger=10m")
    by_files = batches(capped.run("bronze"), "bronze.sales")
    assert [done.files for done in by_files] == [3, 1]
    for number in range(4, 6):
        lake.drop(f"{number}.json", order(order_id=str(number)), at=number)
    by_bytes = batches(
        capped.having(f"{SOURCE}.max_bytes_per_trigger=100b").run("bronze"), "bronze.sales"
    )
    assert [done.files for done in by_bytes] == [1, 1]
    probes.record(10)


def test_11_a_misspelt_option(lake: Lake, native_of: MakeNative, probes: Table) -> None:
    for number in range(2):
        lake.drop(f"{number}.json", order(order_id=str(number)))
    query = native_of(lake).run(maxFilesPerTriger=1)
    assert [progress["numInputRows"] for progress in query.recentProgress] == [2]

    with pytest.raises(UsageError, match="max_files_per_trigger"):
        lake.having(f"{SOURCE}.max_files_per_triger=1").run("bronze")
    probes.record(11)


@pytest.mark.slow
def test_12_metrics_of_the_source(lake: Lake, native_of: MakeNative, probes: Table) -> None:
    sizes = [
        lake.drop(f"{number}.json", order(order_id=str(number)), at=number).stat().st_size
        for number in range(3)
    ]
    query = native_of(lake).run(maxFilesPerTrigger=1)
    assert all(not progress["sources"][0]["metrics"] for progress in query.recentProgress)

    capped = lake.having(f"{SOURCE}.max_files_per_trigger=1")
    first, *_, last = batches(capped.run("bronze"), "bronze.sales")
    assert (first.files_left, first.bytes_left) == (2, sum(sizes[1:]))
    assert first.oldest_waiting_seconds is not None
    assert first.oldest_waiting_seconds > DAY
    assert first.listing_seconds is not None
    assert (last.files_left, last.bytes_left, last.oldest_waiting_seconds) == (0, 0, None)
    probes.record(12)


@pytest.mark.slow
def test_13_what_is_kept_of_files_that_were_read(
    lake: Lake, native_of: MakeNative, probes: Table
) -> None:
    for number in range(11):
        lake.drop(f"{number:02}.json", order(order_id=str(number)), at=number)
    native = native_of(lake)
    native.pass_over(maxFilesPerTrigger=1)
    compact = native.source_log / "9.compact"
    entries = compact.read_text().splitlines()[1:]
    assert [Path(local(json.loads(entry)["path"])).name for entry in entries] == [
        f"{number:02}.json" for number in range(10)
    ]

    lake.run("bronze")
    for number in range(11, 13):
        lake.drop(f"{number}.json", order(order_id=str(number)), at=number)
        lake.run("bronze")
    offsets = lake.checkpoints / "bronze" / "sales" / "v1" / "offsets"
    sizes = [(offsets / str(batch)).stat().st_size for batch in range(3)]
    assert max(sizes) - min(sizes) < 16  # the first has 11 files, the others one each
    probes.record(13)


def test_14_a_batch_of_more_than_32_files(
    spark: SparkSession, lake: Lake, native_of: MakeNative, probes: Table
) -> None:
    for number in range(40):
        lake.drop(f"{number:02}.json", order(order_id=str(number)))
    before = listing_jobs(spark)
    native_of(lake).pass_over()
    between = listing_jobs(spark)
    assert between - before == 1

    (done,) = batches(lake.run("bronze"), "bronze.sales")
    assert done.files == 40
    assert listing_jobs(spark) == between
    probes.record(14)


def test_the_page_has_each_probe_once(probes: Table) -> None:
    if not WRITES:
        assert probes.numbers == [*range(1, 15)]
