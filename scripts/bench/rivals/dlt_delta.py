"""dlt: its filesystem source, read incrementally, into Delta tables.

INPUT WORK

dlt loads; joins and sums are the user's. Here DuckDB does them on the rows that bronze has just
received, as Arrow tables, and dlt loads its results as silver and gold.
"""

import os
import sys
from pathlib import Path

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
import duckdb
from deltalake import DeltaTable
from dlt.sources.filesystem import filesystem, read_jsonl

SILVER = """
    SELECT order_id, customer_id, region, product_id, quantity,
      CAST(order_timestamp AS TIMESTAMP)::DATE AS order_date, now() AS load_time
    FROM bronze LEFT JOIN customers USING (customer_id)
"""
GOLD = """
    SELECT region, order_date, sum(quantity)::BIGINT AS total_quantity FROM silver GROUP BY ALL
"""


def main():
    source, work = (Path(argument) for argument in sys.argv[1:])
    pipeline = dlt.pipeline(
        "sales",
        pipelines_dir=str(work / "state"),
        destination=dlt.destinations.filesystem(bucket_url=str(work)),
        dataset_name="lake",
    )

    def load(rows, disposition):
        info = pipeline.run(
            rows,
            table_format="delta",
            loader_file_format="parquet",
            write_disposition=disposition,
        )
        info.raise_on_failed_jobs()
        return info.loads_ids

    files = filesystem(
        bucket_url=str(source / "landing" / "sales"),
        file_glob="*.json",
        incremental=dlt.sources.incremental("modification_date"),
    )
    loads = load((files | read_jsonl(chunksize=10_000)).with_name("bronze"), "append")
    if not loads:
        return
    with duckdb.connect() as database:
        new = [("_dlt_load_id", "in", loads)]
        bronze = DeltaTable(work / "lake" / "bronze").to_pyarrow_table(filters=new)
        database.register("bronze", bronze)
        database.register("customers", DeltaTable(source / "customers").to_pyarrow_table())
        load(dlt.resource(database.execute(SILVER).to_arrow_table(), name="silver"), "append")
        columns = ["region", "order_date", "quantity"]
        silver = DeltaTable(work / "lake" / "silver").to_pyarrow_table(columns=columns)
        database.register("silver", silver)
        load(dlt.resource(database.execute(GOLD).to_arrow_table(), name="gold"), "replace")


main()
