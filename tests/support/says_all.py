"""A program of its own: runs a pipeline, then asks Spark's UI and its plans all they tell.

    python -m support.says_all CONFIG SECOND_CONFIG FOLDER

What is read of the UI, the JVM's command line and the sockets goes to files in FOLDER; what the
run, Spark's log and a failing second run say, to stdout and stderr.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from pyspark.sql import SparkSession

from medallion_jobs import bronze, gold, silver
from medallion_jobs.config import load
from medallion_jobs.engine.runner import run
from medallion_jobs.errors import MedallionError
from medallion_jobs.observe.events import as_json
from medallion_jobs.sinks.postgres.connection import spark_options
from support.sockets import listening

PAGES = ("environment/", "SQL/", "jobs/")
ANSWERS = ("environment", "sql", "jobs", "allexecutors")


def main(first: Path, second: Path, folder: Path) -> None:
    """Runs both configs; the second is expected to fail."""
    config = load(first).pipeline
    layers = (bronze, silver, gold)

    def told(event: Any) -> None:
        print(as_json(event), flush=True)

    run(
        config,
        [stream for layer in layers for stream in layer.streams(config)],
        told,
        log_level=os.environ["LOG_LEVEL"],
    )
    spark = SparkSession.active()
    jvm: Any = spark._jvm
    log = jvm.org.apache.logging.log4j.LogManager.getLogger("says_all")
    log.error(f"no answer from {os.environ['CANARY_URL']}")
    write_to_nowhere(spark, config.gold["totals"].sinks[0].jdbc)
    broken = load(second).pipeline
    try:
        run(broken, silver.streams(broken), told)
    except MedallionError as error:
        print(f"error: {error}", file=sys.stderr)
    spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
    ask(spark, folder)
    spark.stop()


def write_to_nowhere(spark: SparkSession, sink: Any) -> None:
    """A plan that has the sink's login among its options; nobody listens there."""
    frame = spark.range(1)
    try:
        frame.write.format("jdbc").options(**spark_options(sink), dbtable="t").save()
    except Exception as error:
        print(f"as expected: {error}", file=sys.stderr)
    else:
        raise AssertionError("something listens on port 1")


def ask(spark: SparkSession, folder: Path) -> None:
    """Everything that the UI tells, and how the JVM was started."""
    context = spark.sparkContext
    base = str(context.uiWebUrl)
    api = f"{base}/api/v1/applications/{context.applicationId}"
    for number, url in enumerate(
        [f"{base}/{page}" for page in PAGES] + [f"{api}/{answer}" for answer in ANSWERS]
    ):
        with urlopen(url, timeout=30) as answer:
            (folder / f"ui-{number}").write_bytes(answer.read())
    jvm: Any = spark._jvm
    pid = jvm.java.lang.ProcessHandle.current().pid()
    (folder / "command-line").write_bytes(Path(f"/proc/{pid}/cmdline").read_bytes())
    (folder / "sockets").write_text("\n".join(listening(pid)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
