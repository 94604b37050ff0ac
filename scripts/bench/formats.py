#!/usr/bin/env python3
"""S7: bronze of one format beside Spark's own reader, in turns in one warm JVM.

SHAPE FOLDER FILES ROWS ROUNDS; writes FOLDER/result.json. `run.py s7` starts it for each shape.

Both load the same folder into an empty Delta table. Spark's own side is the bronze step of a
notebook with the schema given, in a session with Spark's defaults. The first round of each is not
counted.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.bronze import as_spark_comes
from bench.processes import Failed
from bench.shapes import SHAPES, Shape, make
from medallion_jobs import bronze
from medallion_jobs.config import Pipeline, load
from medallion_jobs.engine import runner, session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PIPELINE = """\
pipeline: bench
bronze:
  sales:
    source:
      format: {format}
      schema: >-
        {schema}
"""


def main() -> int:
    """Measures a shape and writes the result."""
    shape = SHAPES[sys.argv[1]]
    folder = Path(sys.argv[2])
    files, rows, rounds = (int(word) for word in sys.argv[3:])
    landing = folder / "landing"
    count = make(shape, landing / "sales", files, rows)
    size = sum(file.stat().st_size for file in (landing / "sales").iterdir())
    first = _config(shape, folder / "session", landing)
    spark = session.build(first, log_level="error")
    native = as_spark_comes(spark)
    seconds: dict[str, list[float]] = {"medallion": [], "spark": []}
    for number in range(rounds + 1):
        for side, series in seconds.items():
            lake = folder / f"lake-{side}-{number}"
            config = _config(shape, lake, landing)
            started = time.monotonic()
            if side == "medallion":
                runner.run(config, bronze.streams(config), lambda _: None)
            else:
                by_spark(native, shape, landing, lake)
            took = time.monotonic() - started
            check(lake / "bronze" / "sales", shape, landing / "sales", count)
            shutil.rmtree(lake)
            if number:
                series.append(round(took, 3))
    spark.stop()
    result = {"rows": count, "mb": round(size / 1e6, 1), "seconds": seconds}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


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
