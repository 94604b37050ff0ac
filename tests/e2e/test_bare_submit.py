"""The plainest use: `spark-submit` of a job's file, with little or nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from support import objects
from support.cluster import running
from support.exact import LAYERS, assert_exact
from support.lake import ROOT, Lake
from support.processes import PATIENCE, SHORT_LIVED
from support.stored import StoredLake

from medallion_jobs.runtime.jars import DELTA, delta_jars
from medallion_jobs.runtime.java import find_java
from medallion_jobs.runtime.whole_line import DELTA_CATALOG, DELTA_EXTENSION

EXTENSION = ("--conf", f"spark.sql.extensions={DELTA_EXTENSION}")
CATALOG = ("--conf", f"spark.sql.catalog.spark_catalog={DELTA_CATALOG}")
OTHER_CATALOG = ("--conf", "spark.sql.catalog.spark_catalog=org.example.Catalog")
OLD, OLD_STORAGE = "delta-spark_2.13-3.3.2.jar", "delta-storage-3.3.2.jar"

Done = subprocess.CompletedProcess[str]


def run(line: Sequence[str] | str, environ: Mapping[str, str] | None = None) -> Done:
    """Runs a line in a shell in which the environment is active, and no more."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    java = {"JAVA_HOME": str(find_java().home), "JDK_JAVA_OPTIONS": SHORT_LIVED}
    return subprocess.run(
        line,
        shell=isinstance(line, str),
        cwd=ROOT,
        env={**os.environ, "PATH": path, **java, **(environ or {})},
        # Spark writes what Python has on stderr to stdout, too.
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def submit(lake: Lake, layer: str, *options: str, **environ: str) -> Done:
    return run(["spark-submit", *options, f"medallion_jobs/{layer}.py", *lake.arguments], environ)


def worked(done: Done) -> None:
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def all_layers(lake: Lake, *options: str) -> None:
    for layer in LAYERS:
        worked(submit(lake, layer, *options))
    assert_exact(lake)


def refused(lake: Lake, layer: str, *options: str, **environ: str) -> str:
    """Submits what ends at once and leaves nothing but its record; gives the line to type."""

    def found() -> list[Path]:
        files = sorted(lake.storage.rglob("*"))
        return [path for path in files if "_medallion/runs" not in path.as_posix()]

    before = found()
    done = submit(lake, layer, *options, **environ)
    assert done.returncode == 2, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert "untouched: nothing was started, and no table was created" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert found() == before
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("  next:")]
    return line.removeprefix("  next:").strip()


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Delta's own jars, that say by their names that they are of another version."""
    folder = tmp_path_factory.mktemp("jars of old")
    paths = [folder / OLD, folder / OLD_STORAGE]
    for jar, path in zip(delta_jars(), paths, strict=True):
        shutil.copy(jar, path)
    return [str(path) for path in paths]


@pytest.fixture
def landed(lake: Lake) -> Lake:
    lake.generate(2, dirty=0.1)
    return lake


def test_with_nothing_else_by_the_line_of_a_refusal_and_by_the_script(
    landed: Lake, old: list[str]
) -> None:
    # Orders lie around midnight, UTC: where local time counted, gold's days would differ.
    zone = {"TZ": "America/New_York"}
    worked(submit(landed, "bronze", **zone))
    line = refused(landed, "silver", "--jars", ",".join(old), *EXTENSION, **zone)
    worked(run(line, zone))
    worked(run([str(ROOT / "scripts" / "submit"), "gold", *landed.arguments], zone))
    assert_exact(landed)


# The matrix


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_cannot_work_ends_at_once_with_the_line_that_does(
    landed: Lake, old: list[str]
) -> None:
    lines = {
        refused(landed, "bronze", "--jars", ",".join(old), *EXTENSION),
        refused(landed, "bronze", "--driver-class-path", os.pathsep.join(old)),
        refused(landed, "bronze", *OTHER_CATALOG),
    }
    (line,) = lines
    worked(run(line))
    assert_exact(landed, layers=["bronze"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "options",
    [
        (),
        EXTENSION,
        (*EXTENSION, *CATALOG),
        ("--jars", "ALL"),
        ("--jars", "FIRST"),
        ("--jars", "FIRST", *EXTENSION, *CATALOG),
        ("--jars", "ALL", *EXTENSION),
        ("--jars", "/nowhere/delta-spark_4.2_2.13-4.4.0.jar"),
        ("--driver-class-path", "BOTH"),
        ("--conf", "spark.driver.userClassPathFirst=true"),
        ("--master", "local[1]", "--driver-memory", "1g"),
    ],
    ids=" ".join,
)
def test_every_layer_with_any_part_missing(options: Sequence[str], landed: Lake) -> None:
    jars = [str(jar) for jar in delta_jars()]
    named = {"ALL": ",".join(jars), "FIRST": jars[0], "BOTH": os.pathsep.join(jars)}
    all_layers(landed, *(named.get(word, word) for word in options))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "name",
    [
        OLD,
        "delta-spark_4.2_2.12-4.4.0.jar",
        "delta-spark_4.0_2.13-4.4.0.jar",
        "delta-core_2.12-2.4.0.jar",
        "io.delta_delta-spark_2.13-4.0.0.jar",
    ],
)
def test_every_layer_with_another_delta(name: str, landed: Lake, tmp_path: Path) -> None:
    first, storage = delta_jars()
    shutil.copy(first, tmp_path / name)
    wrong = ("--jars", f"{tmp_path / name},{storage}", *EXTENSION, *CATALOG)
    for layer in LAYERS:
        worked(run(refused(landed, layer, *wrong)))
    assert_exact(landed)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_of_two_jars_on_the_class_path(landed: Lake) -> None:
    first, storage = map(str, delta_jars())
    line = refused(landed, "bronze", "--driver-class-path", first)
    assert refused(landed, "bronze", "--driver-class-path", first, "--jars", storage) == line
    worked(run(line))
    assert_exact(landed, layers=["bronze"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_another_delta_in_a_file_of_settings(landed: Lake, old: list[str], tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text(
        f"spark.jars {old[0].replace(' ', '%20')}\n"
        f"spark.driver.extraClassPath {old[1]}\n"
        "spark.sql.catalog.spark_catalog org.example.Catalog\n"
    )
    folder = {"SPARK_CONF_DIR": str(tmp_path)}
    worked(run(refused(landed, "bronze", **folder), folder))
    assert_exact(landed, layers=["bronze"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_jars_that_are_not_here_and_cannot_be_fetched(landed: Lake, tmp_path: Path) -> None:
    """The line fetches them, once there is a repository."""
    repository = tmp_path / "repository"
    environ = {
        "HOME": str(tmp_path / "home"),
        "MEDALLION_CACHE": str(tmp_path / "cache"),
        "MEDALLION_MAVEN_URL": repository.as_uri(),
    }
    line = refused(landed, "bronze", **environ)
    for jar, path in zip(DELTA, delta_jars(), strict=True):
        (repository / jar.path).parent.mkdir(parents=True)
        shutil.copy(path, repository / jar.path)
    worked(run(line, environ))
    assert_exact(landed, layers=["bronze"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_lake_in_a_store_is_read_by_jars_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with objects.running() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        lake = StoredLake.in_store(store, tmp_path)
        lake.generate(2, dirty=0.1)
        all_layers(lake)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_on_a_cluster_the_executors_get_the_jars_too(
    landed: Lake, old: list[str], tmp_path: Path
) -> None:
    with running(tmp_path / "cluster") as cluster:
        where = ("--master", cluster.master, "--properties-file", str(cluster.properties))
        worked(submit(landed, "bronze", *where))
        class_path = ("--driver-class-path", os.pathsep.join(map(str, delta_jars())))
        worked(submit(landed, "silver", *where, *class_path))
        worked(run(refused(landed, "gold", *where, "--jars", ",".join(old))))
    assert_exact(landed)
