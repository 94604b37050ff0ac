"""The autoloader for a Spark session of one's own: `autoload` and nothing else."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from medallion_jobs.autoloader import autoload
from medallion_jobs.config import ConfigError
from medallion_jobs.errors import MedallionError, TransientError, UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PAGE = Path(__file__).parents[2] / "docs" / "autoloader.md"


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing" / "orders"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def call(spark: SparkSession, landing: Path, tmp_path: Path) -> Callable[..., Any]:
    """`autoload` of the test's folder into its lake."""

    def called(**further: Any) -> Any:
        given = {"lake": tmp_path / "lake", "table": "orders", "format": "json", **further}
        return autoload(given.pop("spark", spark), landing, **given)

    return called


def land(folder: Path, name: str, *records: dict[str, object]) -> None:
    """A file that is not looked at twice, so by an older time."""
    draft = folder / f".{name}"
    draft.write_text("".join(json.dumps(record) + "\n" for record in records))
    long_ago = time.time() - 3600
    os.utime(draft, (long_ago, long_ago))
    draft.rename(folder / name)


def ids(table: Path) -> list[str]:
    return sorted(DeltaTable(table).to_pyarrow_table(columns=["id"]).column("id").to_pylist())


def test_into_a_table(
    call: Callable[..., Any], landing: Path, tmp_path: Path, spark: SparkSession
) -> None:
    land(landing, "1.json", {"id": "a", "at": "2026-01-31 12:00:00"}, {"id": "b"})
    # An hour of the user's own clock, which must not move the rows.
    own = spark.newSession()
    own.conf.set("spark.sql.session.timeZone", "Europe/Berlin")
    own.conf.set("spark.sql.ansi.enabled", "false")
    settings = {row["key"]: row["value"] for row in own.sql("SET").collect()}
    typed = {"spark": own, "schema_hints": "at timestamp"}

    loading = call(**typed)
    assert loading.await_termination()
    assert not loading.is_active
    assert loading.table == tmp_path / "lake" / "bronze" / "orders"
    assert [(done.batch, done.files, done.rows_out) for done in loading.batches] == [(0, 1, 2)]
    (row,) = DeltaTable(loading.table).to_pyarrow_table().filter(pc.field("id") == "a").to_pylist()
    assert row["at"] == datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
    read = own.read.format("delta").load(str(loading.table)).where("id = 'a'")
    assert read.selectExpr("cast(at as string)").first() == ("2026-01-31 13:00:00",)
    assert {row["key"]: row["value"] for row in own.sql("SET").collect()} == settings

    again = call(**typed)
    again.await_termination()
    assert again.batches == []
    land(landing, "2.json", {"id": "c", "coupon": "x"})
    new = call(**typed)
    new.await_termination()
    assert [done.rows_out for done in new.batches] == [1]
    assert ids(loading.table) == ["a", "b", "c"]
    told = spark.read.format("delta").load(str(loading.table))
    assert told.where("coupon = 'x'").count() == 1


def test_into_a_function(call: Callable[..., Any], landing: Path, tmp_path: Path) -> None:
    taken: dict[int, list[str]] = {}

    def take(rows: DataFrame, number: int) -> None:
        taken[number] = sorted(row["id"] for row in rows.select("id").collect())

    def fail(rows: DataFrame, number: int) -> None:
        raise ValueError(f"no room for batch {number}")

    land(landing, "1.json", {"id": "a"}, {"id": "b"})
    first = call(each_batch=take)
    assert first.table is None
    first.await_termination()
    assert taken == {0: ["a", "b"]}

    land(landing, "2.json", {"id": "c"})
    failing = call(each_batch=fail)
    with pytest.raises(MedallionError, match="each_batch raised ValueError: no room for batch 1"):
        failing.await_termination()
    assert failing.batches == []
    land(landing, "3.json", {"id": "d"})
    call(each_batch=take).await_termination()
    assert taken == {0: ["a", "b"], 1: ["c"], 2: ["d"]}
    call(each_batch=take).await_termination()
    assert list(taken) == [0, 1, 2]
    assert not (tmp_path / "lake" / "bronze").exists()


def test_a_function_that_ends_the_program_is_not_passed_over(
    call: Callable[..., Any], landing: Path
) -> None:
    def leave(rows: DataFrame, number: int) -> None:
        raise SystemExit("left")

    land(landing, "1.json", {"id": "a"})
    with pytest.raises(MedallionError, match="each_batch raised SystemExit: left"):
        call(each_batch=leave).await_termination()


def test_until_it_is_stopped(call: Callable[..., Any], landing: Path) -> None:
    land(landing, "1.json", {"id": "a"})
    loading = call(interval="1s")
    try:
        await_rows(loading, 1)
        with pytest.raises(TransientError, match=r"bronze\.orders is already running"):
            call()
        land(landing, "2.json", {"id": "b"})
        await_rows(loading, 2)
        assert loading.is_active
        assert loading.await_termination(0.01) is False
    finally:
        loading.stop()
    assert not loading.is_active
    assert ids(loading.table) == ["a", "b"]
    land(landing, "3.json", {"id": "c"})
    call().await_termination()
    assert ids(loading.table) == ["a", "b", "c"]


def await_rows(loading: Any, count: int) -> None:
    deadline = time.monotonic() + 300
    while sum(done.rows_out for done in loading.batches) < count:
        assert loading.is_active, loading.await_termination()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_wrong_is_told_before_anything_is_made(
    call: Callable[..., Any], landing: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"did you mean `?format"):
        call(formatt="json")
    with pytest.raises(ConfigError, match="max_files_per_trigger"):
        call(max_files_per_triger=1)
    with pytest.raises(UsageError, match="interval is 'soon'"):
        call(interval="soon")
    landing.rmdir()
    with pytest.raises(MedallionError, match="no landing folder"):
        call()
    assert not (tmp_path / "lake").exists()


def test_the_blocks_of_the_page(spark: SparkSession, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    into_table, into_function = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    folder = tmp_path / "landing" / "orders"
    folder.mkdir(parents=True)
    land(folder, "1.json", {"id": "a"})
    names: dict[str, Any] = {"spark": spark}

    def run(code: str) -> None:
        # The JVM's folder is where the tests were started, and not this test's.
        here = re.sub(r'"(landing/|lake|somewhere/)', rf'"{tmp_path}/\1', code)
        exec(compile(here, str(PAGE), "exec"), names)

    run(into_table)
    assert ids(tmp_path / "lake" / "bronze" / "orders") == ["a"]
    # As it stands the loading is nobody's; here its end is waited for.
    run(into_function.replace("\nautoload(", "\nloading = autoload("))
    names["loading"].await_termination()
    assert ids(tmp_path / "somewhere" / "else") == ["a"]
