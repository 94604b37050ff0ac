"""The plainest use: `spark-submit` of a job's file, with little or nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.cluster import running
from support.exact import assert_exact
from support.lake import ROOT, Lake
from support.processes import SHORT_LIVED

from medallion_jobs.runtime.jars import DELTA, delta_jars
from medallion_jobs.runtime.java import find_java
from medallion_jobs.runtime.submitted import DELTA_CATALOG, DELTA_EXTENSION

SETTINGS = (
    *("--conf", f"spark.sql.extensions={DELTA_EXTENSION}"),
    *("--conf", f"spark.sql.catalog.spark_catalog={DELTA_CATALOG}"),
)


def environment() -> dict[str, str]:
    """A shell in which the environment is active, and no more."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    java = {"JAVA_HOME": str(find_java().home), "JDK_JAVA_OPTIONS": SHORT_LIVED}
    return {**os.environ, "PATH": path, **java}


# Spark hands all that Python says on to stdout.
def submit(lake: Lake, layer: str, *options: str) -> subprocess.CompletedProcess[str]:
    job = ["spark-submit", *options, f"medallion_jobs/{layer}.py", *lake.arguments]
    return run(job)


def run(line: Sequence[str] | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line,
        shell=isinstance(line, str),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def jars() -> str:
    return ",".join(map(str, delta_jars()))


def as_if(folder: Path, name: str) -> str:
    """Delta's own jars, the first of which says that it is another one."""
    folder.mkdir(exist_ok=True)
    first, *rest = delta_jars()
    shutil.copy(first, folder / name)
    return ",".join([str(folder / name), *map(str, rest)])


def next_step(said: str) -> str:
    [line] = [one for one in said.splitlines() if "next:" in one and "spark-submit" in one]
    return line.partition("next:")[2].strip()


@pytest.mark.timeout(600)
def test_each_layer_with_something_missing(lake: Lake, tmp_path: Path) -> None:
    lake.generate(2, dirty=0.1)

    # Another Delta cannot be taken out again: the line to type is told, and works as it is.
    refused = submit(
        lake, "bronze", "--jars", as_if(tmp_path / "jars", "delta-spark_2.13-3.3.2.jar")
    )
    assert refused.returncode == 2, refused.stdout
    told = f"the job has delta-spark_2.13-3.3.2.jar, and needs {DELTA[0].file}"
    assert told in refused.stdout
    assert "nothing was started, and no table was made" in refused.stdout
    assert not lake.path("bronze.sales").exists()
    assert not lake.checkpoints.exists()
    right = run(next_step(refused.stdout))
    assert right.returncode == 0, right.stderr[-3000:]

    for layer, options in (("silver", ()), ("gold", ("--jars", jars()))):
        done = submit(lake, layer, *options)
        assert done.returncode == 0, done.stderr[-3000:]
    assert_exact(lake)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "options",
    [
        (),
        SETTINGS,
        ("--jars", "ALL"),
        ("--jars", "FIRST"),
        ("--jars", "FIRST", *SETTINGS),
        ("--jars", "ALL", *SETTINGS[:2]),
        ("--master", "local[1]", "--driver-memory", "1g"),
    ],
    ids=" ".join,
)
def test_every_layer_with_any_part_missing(options: Sequence[str], lake: Lake) -> None:
    lake.generate(2, dirty=0.1)
    named = {"ALL": jars(), "FIRST": jars().partition(",")[0]}
    for layer in ("bronze", "silver", "gold"):
        done = submit(lake, layer, *(named.get(word, word) for word in options))
        assert done.returncode == 0, done.stderr[-3000:]
    assert_exact(lake)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "delta-spark_4.2_2.12-4.4.0.jar",
        "delta-spark_4.0_2.13-4.4.0.jar",
        "delta-core_2.12-2.4.0.jar",
        "io.delta_delta-spark_2.13-4.0.0.jar",
    ],
)
@pytest.mark.parametrize("layer", ["bronze", "silver", "gold"])
def test_another_delta_or_scala_is_refused(
    name: str, layer: str, lake: Lake, tmp_path: Path
) -> None:
    refused = submit(lake, layer, "--jars", as_if(tmp_path / "jars", name), *SETTINGS)
    assert refused.returncode == 2
    assert f"the job has {name}, and needs" in refused.stdout
    line = next_step(refused.stdout)
    assert line.count("--jars") == 1
    assert name not in line


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_on_a_cluster_the_executors_get_the_jars_too(lake: Lake, tmp_path: Path) -> None:
    lake.generate(2, dirty=0.1)
    with running(tmp_path / "cluster") as cluster:
        for layer in ("bronze", "silver", "gold"):
            done = submit(
                lake,
                layer,
                *("--master", cluster.master, "--properties-file", str(cluster.properties)),
            )
            assert done.returncode == 0, done.stderr[-3000:]
    assert_exact(lake)
