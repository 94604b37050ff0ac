#!/usr/bin/env python3
"""Measures the rebuild of a silver table beside its first load, in one session.

The table has casts, computed columns, a lookup and a rule. First a small lake is loaded and
rebuilt, so that no measured part pays for a cold JVM. The exit code is 1 if the rebuild takes more
than 1.15 times as long as the first load, or if the rows differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import duckdb
from deltalake import write_deltalake

from medallion_jobs.config import Pipeline, TableRef, load
from medallion_jobs.engine import runner, session
from medallion_jobs.rebuild import Rebuild
from medallion_jobs.silver import SilverStream

MOST_RATIO = 1.15
CONFIG = """
pipeline: bench
bronze:
  orders: {source: {format: json, schema: "order_id string"}}
silver:
  orders:
    from: bronze.orders
    cast: {amount: "decimal(12,2)", at: timestamp}
    lookups: [{table: silver.customers, on: customer, take: [region], on_miss: "null"}]
    columns: {net: amount * 0.8, day: to_date(at)}
    expect: {positive: {check: amount > 0, otherwise: quarantine}}
    select: [order_id, customer, region, amount, net, at, day, note]
"""
ORDERS = TableRef("silver", "orders")
CUSTOMERS = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        _measured(Path(folder) / "warm", 20_000)
        first, rebuilt, same = _measured(Path(folder) / "measured", rows)
    ratio = rebuilt / first
    print(f"{rows:,} rows: first load {first:.1f} s, rebuild {rebuilt:.1f} s: {ratio:.2f} times")
    if not same:
        print("missed: the rebuilt table has other rows")
    return int(not same or ratio > MOST_RATIO)


def _measured(folder: Path, rows: int) -> tuple[float, float, bool]:
    """The seconds of the first load and of a rebuild; whether both have the same rows."""
    config = _made(folder, rows)
    table = folder / "lake" / "silver" / "orders"
    spark = session.build(config)
    started = time.monotonic()
    runner.run(config, [SilverStream(config, "orders")], lambda _: None, spark=spark)
    first, loaded = time.monotonic() - started, _sums(table)
    started = time.monotonic()
    work = Rebuild(config, ORDERS)
    work.begin("bench")
    work.build(spark, lambda _: None)
    work.swap(spark, lambda _: None, patience=0)
    return first, time.monotonic() - started, _sums(table) == loaded


def _made(folder: Path, rows: int) -> Pipeline:
    """A lake with a full bronze table, in files of a million rows."""
    folder.mkdir(parents=True)
    (folder / "bench.yaml").write_text(CONFIG, encoding="utf-8")
    roots = [f"storage.root={folder / 'lake'}", f"landing.root={folder / 'landing'}"]
    with duckdb.connect() as duck:
        customers = duck.sql(
            f"SELECT 'c' || i AS customer, 'r' || i % 12 AS region FROM range({CUSTOMERS}) t(i)"
        )
        write_deltalake(folder / "lake/silver/customers", customers.to_arrow_table())
        for start in range(0, rows, 1_000_000):
            end = min(start + 1_000_000, rows)
            found = duck.sql(
                f"SELECT 'o' || i AS order_id, 'c' || i % {CUSTOMERS} AS customer, "
                "(i % 9000 + 1)::VARCHAR || '.25' AS amount, '2026-01-31 10:00:00' AS at, "
                f"md5(i::VARCHAR) AS note FROM range({start}, {end}) t(i)"
            )
            write_deltalake(folder / "lake/bronze/orders", found.to_arrow_table(), mode="append")
    return load(folder / "bench.yaml", None, roots, environ={}).pipeline


def _sums(table: Path) -> tuple[object, ...]:
    with duckdb.connect() as duck:
        duck.execute("LOAD delta")
        sql = f"SELECT count(*), sum(net), count(DISTINCT order_id) FROM delta_scan('{table}')"
        return duck.execute(sql).fetchall()[0]


if __name__ == "__main__":
    print(datetime.now(timezone.utc).isoformat(timespec="seconds"))
    sys.exit(main())
