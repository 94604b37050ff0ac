"""What a start costs anybody: a bare session, one Delta write, one read.

INPUT WORK; the input is not looked at. Delta's jars are on the class path (DELTA_JARS).
"""

import os
import sys
import uuid

from pyspark.sql import SparkSession

ROWS = 10


def main():
    table = f"{sys.argv[2]}/table-{uuid.uuid4()}"
    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.driver.extraClassPath", os.environ["DELTA_JARS"].replace(",", ":"))
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config(
            "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
        )
        .config("spark.ui.enabled", "false")
        .config("spark.databricks.delta.snapshotPartitions", "1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    spark.range(ROWS).write.format("delta").save(table)
    assert spark.read.format("delta").load(table).count() == ROWS
    spark.stop()


main()
