"""Polars with delta-rs: each layer a Delta table, a list of read files kept by hand.

INPUT WORK
"""

import sys
from datetime import datetime, timezone
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

SCHEMA = {
    "order_id": pl.String,
    "customer_id": pl.Int64,
    "product_id": pl.Int64,
    "quantity": pl.Int64,
    "order_timestamp": pl.String,
}


def main():
    source, work = (Path(argument) for argument in sys.argv[1:])
    work.mkdir(parents=True, exist_ok=True)
    now = datetime.now(timezone.utc)
    # A file is known when bronze has rows of it.
    known = set()
    if DeltaTable.is_deltatable(str(work / "bronze")):
        bronze = pl.scan_delta(str(work / "bronze"))
        known = set(bronze.select("input_file").unique().collect()["input_file"])
    found = sorted(str(file) for file in (source / "landing" / "sales").glob("*.json"))
    new = [file for file in found if file not in known]
    if not new:
        return
    orders = (
        pl.scan_ndjson(new, schema=SCHEMA, include_file_paths="input_file")
        .with_columns(load_time=pl.lit(now))
        .collect()
    )
    orders.write_delta(str(work / "bronze"), mode="append")
    customers = pl.read_delta(str(source / "customers")).select("customer_id", "region")
    silver = orders.join(customers, on="customer_id", how="left").select(
        "order_id",
        "customer_id",
        "region",
        "product_id",
        "quantity",
        pl.col("order_timestamp")
        .str.to_datetime("%Y-%m-%d %H:%M:%S")
        .dt.date()
        .alias("order_date"),
        "load_time",
    )
    silver.write_delta(str(work / "silver"), mode="append")
    gold = (
        pl.scan_delta(str(work / "silver"))
        .group_by("region", "order_date")
        .agg(total_quantity=pl.col("quantity").sum())
        .collect()
    )
    gold.write_delta(str(work / "gold"), mode="overwrite")


main()
