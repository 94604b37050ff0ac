"""Spark Declarative Pipelines (`spark-pipelines`): two streaming tables and a materialized view.

INPUT WORK

Needs Spark Connect, and Delta's jars in DELTA_JARS. Writes the project that `spark-pipelines init`
would make, and runs it.
"""

import os
import subprocess
import sys
from pathlib import Path

SPEC = """\
name: sales
storage: file://{work}/storage
libraries:
  - glob:
      include: transformations/**
configuration:
  spark.sql.shuffle.partitions: "2"
"""
TABLES = """\
from pyspark import pipelines as dp
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.active()
SCHEMA = (
    "order_id string, customer_id long, product_id long, quantity long, order_timestamp string"
)


@dp.table(name="bronze", format="delta")
def bronze():
    return (
        spark.readStream.schema(SCHEMA)
        .json("{source}/landing/sales")
        .withColumn("input_file", F.col("_metadata.file_path"))
        .withColumn("load_time", F.current_timestamp())
    )


@dp.table(name="silver", format="delta")
def silver():
    customers = spark.read.format("delta").load("{source}/customers")
    return (
        spark.readStream.table("bronze")
        .join(customers.select("customer_id", "region"), on="customer_id", how="left")
        .withColumn("order_date", F.to_date("order_timestamp"))
        .select(
            "order_id", "customer_id", "region", "product_id", "quantity", "order_date", "load_time"
        )
    )


@dp.materialized_view(name="gold", format="delta")
def gold():
    return (
        spark.read.table("silver")
        .groupBy("region", "order_date")
        .agg(F.sum("quantity").alias("total_quantity"))
    )
"""
# What has to be known when the JVM starts.
DEFAULTS = """\
spark.driver.extraClassPath {classpath}
spark.driver.memory 2g
spark.ui.enabled false
spark.ui.showConsoleProgress false
spark.sql.extensions io.delta.sql.DeltaSparkSessionExtension
spark.sql.catalog.spark_catalog org.apache.spark.sql.delta.catalog.DeltaCatalog
spark.databricks.delta.snapshotPartitions 2
spark.sql.warehouse.dir {work}
spark.sql.streaming.stateStore.providerClass \
org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider
"""


def main():
    source, work = (Path(argument).resolve() for argument in sys.argv[1:])
    classpath = os.environ["DELTA_JARS"].replace(",", ":")
    for name, text in {
        "spark-pipeline.yml": SPEC.format(work=work),
        "transformations/sales.py": TABLES.format(source=source),
        "conf/spark-defaults.conf": DEFAULTS.format(work=work, classpath=classpath),
    }.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    program = Path(sys.executable).parent / "spark-pipelines"
    line = [str(program), "--remote", "local[*]", "run"]
    settings = {"PYSPARK_PYTHON": sys.executable, "SPARK_CONF_DIR": str(work / "conf")}
    done = subprocess.run(line, check=False, cwd=work, env={**os.environ, **settings})
    sys.exit(done.returncode)


main()
