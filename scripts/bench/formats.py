#!/usr/bin/env python3
"""S7: bronze of several formats and widths beside Spark's own reader, in turns in one warm JVM.

FOLDER FILES ROWS ROUNDS; prints JSON as its last line. `run.py s7` starts it.

Both load the same folder into an empty Delta table. Spark's own side is the bronze step of a
notebook with the schema given, in a session with Spark's defaults. The first round of each is not
counted.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.bronze import as_spark_comes
from bench.processes import Failed
from medallion_jobs import bronze
from medallion_jobs.config import Pipeline, load
from medallion_jobs.engine import runner, session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Row = dict[str, Any]
_COLUMNS = 200  # of the wide shape
_PIPELINE = """\
pipeline: bench
bronze:
  sales:
    source:
      format: {format}
      schema: >-
        {schema}
"""
_ORDERS = (
    "order_id string, customer_id bigint, product_id bigint, quantity int,"
    " order_timestamp timestamp"
)


@dataclass(frozen=True)
class Shape:
    """One format with one kind of rows.

    Attributes:
        schema: as Spark reads it, in DDL.
        row: a row of a number.
        part: how many of the rows it has, as a part: wide rows are larger.
    """

    format: str
    schema: str
    row: Callable[[int, random.Random], Row]
    part: float = 1.0
    compressed: bool = False


def order(number: int, chance: random.Random) -> Row:
    """A sale."""
    picked = chance.getrandbits(31)
    return {
        "order_id": f"o-{number:09}",
        "customer_id": 1 + picked % 15,
        "product_id": 101 + picked % 97,
        "quantity": 1 + picked % 9,
        "order_timestamp": f"2026-01-{1 + picked % 28:02} {picked % 24:02}:{picked % 60:02}:00",
    }


def wide(number: int, chance: random.Random) -> Row:
    """Columns of numbers and texts in turn."""
    picked = chance.getrandbits(20)
    values = (number + picked + at if at % 2 else f"text {picked + at}" for at in range(_COLUMNS))
    return {f"c{at:03}": value for at, value in enumerate(values)}


def nested(number: int, chance: random.Random) -> Row:
    """A sale with a struct, and a list of structs."""
    made = order(number, chance)
    lines = [{"sku": f"s-{made['product_id']}", "count": at} for at in range(made["quantity"] % 4)]
    buyer = {"id": made["customer_id"], "address": {"city": "Ulm", "zip": f"{number % 10_000:05}"}}
    return {"order_id": made["order_id"], "buyer": buyer, "lines": lines}


_WIDE = ", ".join(f"c{at:03} {'bigint' if at % 2 else 'string'}" for at in range(_COLUMNS))
_NESTED = (
    "order_id string, buyer struct<id: bigint, address: struct<city: string, zip: string>>,"
    " lines array<struct<sku: string, count: int>>"
)
SHAPES = {
    "json": Shape("json", _ORDERS, order),
    "json, gzip": Shape("json", _ORDERS, order, compressed=True),
    "json, 200 columns": Shape("json", _WIDE, wide, part=0.05),
    "json, nested": Shape("json", _NESTED, nested, part=0.5),
    "csv": Shape("csv", _ORDERS, order),
    "parquet": Shape("parquet", _ORDERS, order),
}


def main() -> int:
    """Measures each shape and prints the results."""
    folder = Path(sys.argv[1])
    files, rows, rounds = (int(word) for word in sys.argv[2:])
    landing = folder / "landing"
    first = _config(SHAPES["json"], folder / "session", landing)
    spark = session.build(first, log_level="error")
    native = as_spark_comes(spark)
    found = {}
    for name, shape in SHAPES.items():
        count = make(shape, landing / "sales", files, rows)
        size = sum(file.stat().st_size for file in (landing / "sales").iterdir())
        seconds: dict[str, list[float]] = {"medallion": [], "spark": []}
        for number in range(rounds + 1):
            for side, series in seconds.items():
                lake = folder / f"lake-{side}-{number}"
                started = time.monotonic()
                if side == "medallion":
                    config = _config(shape, lake, landing)
                    runner.run(config, bronze.streams(config), lambda _: None)
                else:
                    by_spark(native, shape, landing, lake)
                took = time.monotonic() - started
                check(lake / "bronze" / "sales", shape, landing / "sales", count)
                shutil.rmtree(lake)
                if number:
                    series.append(round(took, 3))
        found[name] = {"rows": count, "mb": round(size / 1e6, 1), "seconds": seconds}
        each = ", ".join(f"{side} {median(series):.2f} s" for side, series in seconds.items())
        print(f"  {name:<18} {count:,} rows: {each}", flush=True)
        shutil.rmtree(landing)
    spark.stop()
    print(json.dumps(found))
    return 0


def make(shape: Shape, folder: Path, files: int, rows: int) -> int:
    """Writes the files; gives the number of rows in all."""
    folder.mkdir(parents=True)
    chance = random.Random(7)
    each = max(1, round(rows * shape.part))
    for number in range(files):
        made = [shape.row(number * each + row, chance) for row in range(each)]
        file = folder / f"sales-{number:06}.{shape.format}"
        if shape.format == "parquet":
            _parquet(made, file)
        elif shape.format == "csv":
            lines = [
                ",".join(made[0]),
                *(",".join(str(one) for one in row.values()) for row in made),
            ]
            file.write_text("\n".join(lines) + "\n", encoding="ascii")
        else:
            text = "".join(json.dumps(row) + "\n" for row in made).encode()
            if shape.compressed:
                file = file.with_suffix(".json.gz")
                text = gzip.compress(text, 6)
            file.write_bytes(text)
    return files * each


def _parquet(rows: list[Row], file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = pa.Table.from_pylist(rows)
    at = made.schema.get_field_index("order_timestamp")
    texts = made["order_timestamp"].cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    made = made.set_column(at, "order_timestamp", texts)
    at = made.schema.get_field_index("quantity")
    pq.write_table(made.set_column(at, "quantity", made["quantity"].cast(pa.int32())), file)


def by_spark(spark: SparkSession, shape: Shape, landing: Path, lake: Path) -> None:
    """The bronze step of a notebook."""
    from pyspark.sql import functions as F

    reader = spark.readStream.schema(shape.schema).format(shape.format)
    if shape.format == "csv":
        reader = reader.option("header", "true")
    query = (
        reader.load(str(landing / "sales"))
        .withColumn("_input_file", F.col("_metadata.file_path"))
        .withColumn("_load_time", F.current_timestamp())
        .writeStream.format("delta")
        .option("checkpointLocation", str(lake / "checkpoint"))
        .trigger(availableNow=True)
        .start(str(lake / "bronze" / "sales"))
    )
    query.awaitTermination()


def check(table: Path, shape: Shape, files: Path, count: int) -> None:
    """All rows are there, and a column has the sum that DuckDB finds in the files.

    Raises:
        Failed: something differs.
    """
    import duckdb
    from deltalake import DeltaTable

    column = {"order": "quantity", "wide": "c001", "nested": "len(lines)"}[shape.row.__name__]
    reads = {"json": "read_json", "csv": "read_csv", "parquet": "read_parquet"}[shape.format]
    with duckdb.connect() as database:
        database.register("loaded", DeltaTable(table).to_pyarrow_dataset())
        sql = f"SELECT count(*), sum({column}) FROM"
        ours = database.execute(f"{sql} loaded").fetchone()
        wanted = database.execute(f"{sql} {reads}('{files}/*')").fetchone()
    if ours != wanted or not ours or ours[0] != count:
        raise Failed(f"{shape.format}: {ours} are loaded, {wanted} are in the files")


def _config(shape: Shape, lake: Path, landing: Path) -> Pipeline:
    lake.mkdir(parents=True)
    file = lake / "bench.yaml"
    text = _PIPELINE.format(format=shape.format, schema=shape.schema)
    file.write_text(text, encoding="utf-8")
    roots = [f"storage.root={lake}", f"landing.root={landing}"]
    return load(file, None, roots, environ={}).pipeline


if __name__ == "__main__":
    sys.exit(main())
