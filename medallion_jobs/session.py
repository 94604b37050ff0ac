"""The one place where a Spark session is made: for a laptop, for Docker and for a cluster.

What the user passes to spark-submit wins over the configuration, which wins over the
defaults here. Two things are not open: the session's time zone is UTC and ANSI is on, since
tables must not depend on the machine that made them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.jars import delta_jars
from medallion_jobs.runtime.java import find_java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from medallion_jobs.config import Pipeline

DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
DELTA_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"

# For every master.
_COMMON = {
    "spark.sql.extensions": DELTA_EXTENSION,
    "spark.sql.catalog.spark_catalog": DELTA_CATALOG,
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # `${env:SECRET}` in an SQL text must stay a text.
    "spark.sql.variable.substitute": "false",
    # INT96 timestamps, Spark's default, are read differently by other engines.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # A second start of a query must fail, not silently stop the first.
    "spark.sql.streaming.stopActiveRunOnRestart": "false",
    "spark.sql.streaming.stopTimeout": "60s",
    # One pool a query, so that a large batch of one does not hold up the others.
    "spark.scheduler.mode": "FAIR",
    # Paths come from the ledger: a Spark job that only lists them again costs more than it
    # saves (12 to 30 s for 1,000 local files).
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "100000",
    # Small files share a task: by default each counts as 4 MB, so that 1,000 of them become
    # 31 tasks and 31 output files.
    "spark.sql.files.openCostInBytes": "131072",
    # Nothing reads more than the newest few; the default keeps 100 a query on the heap.
    "spark.sql.streaming.numRecentProgressUpdates": "20",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}
# For a master in this process: small tables, few cores, nobody watching a UI.
_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # 50 by default: fifty tasks to read the log of a table of ten rows.
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.driver.memory": "2g",
}
# A run over a few small batches is mostly class loading and compilation.
_SHORT_RUN = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def build(config: Pipeline, *, short: bool = False) -> SparkSession:
    """The session for a pipeline's jobs; an existing one is taken as it is.

    Args:
        short: the run will end soon; the JVM is tuned to start quickly.

    Raises:
        UsageError: no Java, or a session that does not carry Delta.
        TransientError: the Delta jars had to be fetched and could not be.
    """
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if not submitted:
        _prepare_own_jvm()

    from pyspark import SparkConf  # noqa: PLC0415 (reads the environment that was just set)
    from pyspark.sql import SparkSession  # noqa: PLC0415

    conf = SparkConf()
    for key, value in _wanted(
        config, str(conf.get("spark.master", "") or ""), submitted, short
    ).items():
        conf.setIfMissing(key, value)
    spark = SparkSession.builder.config(conf=conf).getOrCreate()
    if DELTA_EXTENSION not in str(spark.conf.get("spark.sql.extensions", "")):
        raise UsageError(
            "the Spark session that runs already has no Delta extension",
            untouched="nothing was started",
            next_step=f"start it with spark.sql.extensions={DELTA_EXTENSION}",
        )
    return spark


def _prepare_own_jvm() -> None:
    """The environment in which pyspark starts its JVM."""
    java = find_java()
    os.environ["JAVA_HOME"] = str(java.home)
    # Workers otherwise take the first `python3` on PATH, which may lack what the job has.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable


def _wanted(
    config: Pipeline, submitted_master: str, submitted: bool, short: bool
) -> Mapping[str, str]:
    master = submitted_master or config.spark.master or "local[*]"
    wanted = {
        **_COMMON,
        "spark.app.name": f"medallion {config.pipeline}",
        "spark.master": master,
        "spark.sql.shuffle.partitions": str(config.spark.shuffle_partitions),
        **(_LOCAL if master.startswith("local") else {}),
        **config.spark.conf,
    }
    if config.spark.driver_memory:
        wanted["spark.driver.memory"] = config.spark.driver_memory
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    if not submitted:
        jars = [str(jar) for jar in delta_jars()]
        # On the class path, not as `spark.jars`: those go to a loader of their own, which
        # neither the JVM's class archive nor its early compilation covers.
        wanted["spark.driver.extraClassPath"] = os.pathsep.join(jars)
        if not master.startswith("local"):
            wanted["spark.jars"] = ",".join(jars)
        if short:
            wanted["spark.driver.extraJavaOptions"] = _SHORT_RUN
    return wanted


def job_folder() -> Path:
    """Where the job files lie that spark-submit takes."""
    return Path(__file__).parent
