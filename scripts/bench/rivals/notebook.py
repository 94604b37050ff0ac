"""The notebook's code on plain Spark and Delta: a file source, and three queries in turn.

INPUT WORK default|tuned [bronze|silver|gold]

`default` is a session as Delta's guide makes it. `tuned` is what somebody sets who knows both: two
partitions for shuffles and for Delta's snapshots, no UI, RocksDB for the state, a schema that is
given, and Delta's two jars (DELTA_JARS, by commas) instead of packages. With a layer, that
layer alone; under spark-submit, the session is as spark-submit has made it.
"""

import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

SCHEMA = "order_id string, customer_id long, product_id long, quantity long, order_timestamp string"
TUNED = {
    "spark.driver.memory": "2g",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.streaming.stateStore.providerClass": "org.apache.spark.sql.execution.streaming.state"
    ".RocksDBStateStoreProvider",
}


def session(kind):
    builder = (
        SparkSession.builder.appName("notebook")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config(
            "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
        )
        .config("spark.ui.showConsoleProgress", "false")
    )
    if "PYSPARK_GATEWAY_PORT" in os.environ:  # spark-submit has started the JVM
        return builder.getOrCreate()
    builder = builder.master("local[*]")
    if kind == "default":
        from delta import configure_spark_with_delta_pip

        return configure_spark_with_delta_pip(builder).getOrCreate()
    for key, value in TUNED.items():
        builder = builder.config(key, value)
    return builder.config("spark.jars", os.environ["DELTA_JARS"]).getOrCreate()


def load(table, name, work, mode="append"):
    query = (
        table.writeStream.format("delta")
        .outputMode(mode)
        .option("checkpointLocation", f"{work}/checkpoints/{name}")
        .trigger(availableNow=True)
        .start(f"{work}/{name}")
    )
    query.awaitTermination()


def bronze(spark, source, work, kind):
    sales = f"{source}/landing/sales"
    schema = SCHEMA if kind == "tuned" else spark.read.json(sales).schema
    files = (
        spark.readStream.schema(schema)
        .json(sales)
        .withColumn("input_file", F.col("_metadata.file_path"))
        .withColumn("load_time", F.current_timestamp())
    )
    load(files, "bronze", work)


def silver(spark, source, work, _kind):
    customers = (
        spark.read.format("delta").load(f"{source}/customers").select("customer_id", "region")
    )
    orders = (
        spark.readStream.format("delta")
        .load(f"{work}/bronze")
        .join(customers, on="customer_id", how="left")
        .withColumn("order_date", F.to_date("order_timestamp"))
        .select(
            "order_id", "customer_id", "region", "product_id", "quantity", "order_date", "load_time"
        )
    )
    load(orders, "silver", work)


def gold(spark, _source, work, _kind):
    totals = (
        spark.readStream.format("delta")
        .load(f"{work}/silver")
        .groupBy("region", "order_date")
        .agg(F.sum("quantity").alias("total_quantity"))
    )
    load(totals, "gold", work, "complete")


def main():
    source, work, kind, *layers = sys.argv[1:]
    spark = session(kind)
    spark.sparkContext.setLogLevel("ERROR")
    for layer in (bronze, silver, gold):
        if not layers or layer.__name__ in layers:
            layer(spark, source, work, kind)
    spark.stop()


main()
