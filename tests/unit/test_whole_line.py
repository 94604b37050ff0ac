"""The line that a job prints where what was typed cannot work."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medallion_jobs.runtime.whole_line import (
    DELTA_CATALOG,
    DELTA_EXTENSION,
    line_for_cluster_mode,
    typed_arguments,
    whole_line,
)

OURS = [Path("/cache/delta-spark_4.2_2.13-4.4.0.jar"), Path("/cache/delta-storage-4.4.0.jar")]
JARS = ("--jars", ",".join(map(str, OURS)))
CATALOG = ("--conf", f"spark.sql.catalog.spark_catalog={DELTA_CATALOG}")
SETTINGS = ("--conf", f"spark.sql.extensions={DELTA_EXTENSION}", *CATALOG)
JOB = ("medallion_jobs/bronze.py", "--config", "conf/sales.yaml")


def line(*typed: str, **conf: str) -> list[str]:
    """The words of the line; `conf` has `_` for the dots."""
    settings = {key.replace("_", "."): value for key, value in conf.items()}
    return shlex.split(whole_line(typed, settings, OURS))


def test_to_a_bare_line_jars_and_settings_are_added() -> None:
    assert line(*JOB) == ["spark-submit", *JARS, *SETTINGS, *JOB]


def test_what_was_right_already_stands_in_it_once() -> None:
    assert line(*JARS, *SETTINGS, *JOB) == line(*JOB)


def test_all_other_words_stay_as_they_were() -> None:
    options = (
        *("--master", "spark://h:7077", "--conf", "spark.cores.max=2", "--verbose"),
        *("--load-spark-defaults", "--properties-file", "my file.conf"),
    )
    job = (*JOB, "--set", "queries.q.sql=SELECT 'a b' AS \"x\"", "--jars", "not spark-submit's")
    assert line(*options, *job) == ["spark-submit", *JARS, *SETTINGS, *options, *job]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--jars", "/old/delta-spark_2.12-3.3.2.jar,hdfs:///old/delta-storage-3.3.2.jar"),
        ("--jars", "delta-core_2.12-2.4.0.jar"),
        ("--conf", "spark.jars=file:/ivy/io.delta_delta-spark_2.13-4.0.0.jar"),
        ("--packages", "io.delta:delta-spark_2.13:4.0.0"),
        ("--conf", "spark.jars.packages=io.delta:delta-spark_2.13:4.0.0"),
        ("--driver-class-path", "/old/delta-spark_2.13-4.0.0.jar"),
        ("-c", "spark.executor.extraClassPath=/old/delta-spark_2.13-4.0.0.jar"),
    ],
)
def test_another_delta_is_left_out(wrong: tuple[str, ...]) -> None:
    assert line(*wrong, *JOB) == line(*JOB)


def test_what_was_beside_another_delta_stays() -> None:
    made = line(
        *("--jars", "/my/udfs.jar,/old/delta-spark_2.12-3.3.2.jar"),
        *("--packages", "org.example:one:1.0,io.delta:delta-spark_2.12:3.3.2"),
        *("--driver-class-path", os.pathsep.join(("/my/classes", "/old/delta-storage-3.3.2.jar"))),
        *("--conf", "spark.sql.extensions=org.example.Other"),
        *JOB,
    )
    assert made == [
        *("spark-submit", "--jars", f"{JARS[1]},/my/udfs.jar"),
        *("--conf", f"spark.sql.extensions=org.example.Other,{DELTA_EXTENSION}", *CATALOG),
        *("--conf", "spark.jars.packages=org.example:one:1.0"),
        *("--conf", "spark.driver.extraClassPath=/my/classes"),
        *JOB,
    ]


def test_what_a_file_of_settings_has_is_taken_over_or_taken_back() -> None:
    made = line(
        *JOB,
        spark_jars="file:/my/udfs.jar,file:/h/.ivy2.5.2/jars/org.antlr_antlr4-runtime-4.13.1.jar",
        spark_jars_packages="io.delta:delta-spark_2.13:4.0.0",
        spark_driver_extraClassPath="/my/classes",
        spark_master="local[*]",
    )
    assert made == [
        *("spark-submit", "--jars", f"{JARS[1]},file:/my/udfs.jar", *SETTINGS),
        *("--conf", "spark.jars.packages=", *JOB),
    ]


def test_a_file_that_is_named_otherwise_is_left_out_by_its_name() -> None:
    made = whole_line(
        ["--jars", "/a/our%20lake.jar,/b.jar", *JOB], {}, OURS, without=["our lake.jar"]
    )
    assert shlex.split(made)[2] == f"{JARS[1]},/b.jar"


def test_a_secret_is_masked_and_a_placeholder_is_not() -> None:
    hidden, shown = "hunter2-canary", "silver.s.sink.password=${env:PASSWORD}"
    made = line(
        *("--conf", f"spark.hadoop.fs.s3a.secret.key={hidden}", *JOB),
        *("--set", f"gold.x.sink.password={hidden}", f"--set=gold.y.sink.password={hidden}"),
        *("--set", shown),
    )
    assert hidden not in " ".join(made)
    assert "spark.hadoop.fs.s3a.secret.key=***" in made
    assert "gold.x.sink.password=***" in made
    assert "--set=gold.y.sink.password=***" in made
    assert made[-1] == shown


def test_a_driver_elsewhere_is_submitted_by_the_script() -> None:
    conf = {"spark.master": "yarn"}
    made = line_for_cluster_mode(conf, ["/node/gold.py", "--config", "medallion-conf/sales.yaml"])
    assert made == (
        "scripts/submit gold --config medallion-conf/sales.yaml --master yarn --deploy-mode cluster"
    )


def test_what_was_typed_is_read_from_the_process() -> None:
    typed = ["--name", "two words", "job.py", "a\nb", ""]
    line = [sys.executable, "-c", "input()", "org.apache.spark.deploy.SparkSubmit", *typed]
    with subprocess.Popen(line, stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        # Between fork and exec it is a copy of this process.
        while not typed_arguments(process.pid, lambda: line) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert typed_arguments(process.pid, lambda: line) == typed
        process.communicate(b"\n")
    # No such process, as on a system without /proc: what the JVM knows of itself.
    assert typed_arguments(process.pid, lambda: line) == typed
    assert typed_arguments(process.pid, list) == []
