"""`medallion_jobs.testing`, as its page shows it and beyond."""

from __future__ import annotations

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from medallion_jobs import bronze, silver
from medallion_jobs.engine import run
from medallion_jobs.engine.query import StopSwitch
from medallion_jobs.errors import DataError, TransientError, UsageError
from medallion_jobs.testing import LakeHarness

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "testing.md"
CONFIG = """
pipeline: shop
bronze:
  orders:
    source: {format: json, schema: "id string, at timestamp, amount int"}
silver:
  orders:
    from: bronze.orders
    expect: {positive: {check: amount > 0, otherwise: quarantine}}
    dedupe: {keys: id}
    select: [id, amount]
gold:
  totals:
    from: silver.orders
    group_by: [id]
    measures: {total: sum(amount)}
"""


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: object) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), names)
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) == 2
    for name in tests:
        (tmp_path / name).mkdir()
        names[name](tmp_path / name)


@pytest.fixture
def lake(tmp_path: Path) -> LakeHarness:
    (tmp_path / "shop.yaml").write_text(CONFIG, encoding="utf-8")
    return LakeHarness.of(tmp_path / "shop.yaml", tmp_path)


def test_files_go_in_by_age_and_each_run_reads_what_is_new(
    lake: LakeHarness, spark: object
) -> None:
    lake.drop("orders", "young.json", {"id": "a", "amount": 2}, age=10)
    lake.drop("orders", "sub/old.json", {"id": "a", "amount": 1}, age=20)
    lake.drop("orders", "bytes.json", b'{"id": "b", "amount": 0}')
    batches = lake.run("bronze", "silver")
    assert [(batch.table, batch.rows_in) for batch in batches] == [
        ("bronze.orders", 3),
        ("silver.orders", 3),
    ]
    assert lake.rows("silver.orders") == [{"id": "a", "amount": 1}]
    (quarantined,) = lake.quarantined("silver.orders")
    assert quarantined["reasons"] == ["positive: not (amount > 0)"]
    assert lake.rows("gold.totals") == []  # not run yet
    assert lake.run("gold")
    assert lake.run() == lake.batches() == []


def test_a_crash_of_each_layer_and_what_follows(lake: LakeHarness, spark: object) -> None:
    lake.drop("orders", "0.json", {"id": "0", "amount": 1})
    lake.run()
    for number, table in enumerate(("bronze.orders", "silver.orders", "gold.totals"), start=1):
        lake.drop("orders", f"{number}.json", {"id": str(number), "amount": number})
        done = lake.crash_after(table, number)
        assert table not in [batch.table for batch in done]
        before = lake.rows(table)
        assert len(before) == number + 1
        lake.run()
        assert lake.rows(table) == before
        assert lake.batches(table)[0].batch == number
        totals = {row["id"]: row["total"] for row in lake.rows("gold.totals")}
        assert totals == {"0": 1, **{str(one): one for one in range(1, number + 1)}}


def test_on_a_session_of_somebody_else(lake: LakeHarness, spark: SparkSession) -> None:
    """In a thread, where no signal can be taken, and with other settings, which stay."""
    lake.drop("orders", "1.json", {"id": "a", "amount": 1})
    own = spark.newSession()
    own.conf.set("spark.sql.session.timeZone", "Europe/Berlin")
    own.conf.set("spark.sql.ansi.enabled", "false")
    settings = {row["key"]: row["value"] for row in own.sql("SET").collect()}
    (lake.config.landing_root / "orders").mkdir(parents=True, exist_ok=True)
    streams = [*bronze.streams(lake.config), *silver.streams(lake.config)]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run, lake.config, streams, lake.events.append, spark=own).result()
    assert lake.rows("silver.orders") == [{"id": "a", "amount": 1}]
    assert {row["key"]: row["value"] for row in own.sql("SET").collect()} == settings
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    stop = StopSwitch()
    stop.flip("a test")
    lake.drop("orders", "2.json", {"id": "b", "amount": 1})
    with pytest.raises(TransientError, match="stopped before everything was read: a test"):
        run(lake.config, streams, lake.events.append, spark=own, stop=stop)
    assert len(lake.rows("silver.orders")) == 1


def test_what_goes_wrong(lake: LakeHarness, tmp_path: Path, spark: object) -> None:
    lake.drop("orders", "1.json", {"id": "a", "amount": 1})
    with pytest.raises(AssertionError, match=r"silver\.orders had no batch 7"):
        lake.crash_after("silver.orders", 7)
    stops = "silver.orders.expect.positive.otherwise=fail"
    failing = LakeHarness.of(tmp_path / "shop.yaml", tmp_path / "other", stops)
    failing.drop("orders", "1.json", {"id": "a", "amount": -1})
    with pytest.raises(DataError):
        failing.crash_after("gold.totals")
    for wrong in ("orders", "silver.other", "iron.orders"):
        with pytest.raises(UsageError, match="no table"):
            lake.rows(wrong)
    with pytest.raises(UsageError, match=r"no table bronze\.other"):
        lake.drop("other", "1.json", {})
    with pytest.raises(UsageError, match="by the pipeline itself"):
        lake.write_table("silver.orders", {"id": "x"})
