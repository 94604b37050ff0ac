"""A job under spark-submit: what is added to its JVM and what is refused, with no JVM."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.runtime import submitted
from medallion_jobs.runtime.jars import DELTA, S3A, Jar
from medallion_jobs.runtime.submitted import Submitted
from medallion_jobs.runtime.whole_line import DELTA_CATALOG, DELTA_EXTENSION

CLASSES = {
    DELTA_EXTENSION: ("delta-spark", "delta-core"),
    "io.delta.storage.LogStore": ("delta-storage",),
    "org.apache.hadoop.fs.s3a.S3AFileSystem": ("hadoop-aws",),
    "software.amazon.awssdk.services.s3.S3Client": ("s3-2", "bundle-2"),
}
SPARK, STORAGE = (jar.file for jar in DELTA)
ARGV = ["medallion_jobs/bronze.py", "--config", "conf/sales.yaml"]


@dataclass
class Loader:
    """A class loader that knows which classes are in which jar by the jar's name."""

    jars: list[str] = field(default_factory=list)
    parent: Loader | None = None
    takes_jars: bool = True

    def getResource(self, file: str) -> SimpleNamespace | None:  # noqa: N802 (Java's name)
        name = file.removesuffix(".class").replace("/", ".")
        above = self.parent.getResource(file) if self.parent else None
        own = [jar for jar in self.jars if any(part in jar for part in CLASSES[name])]
        found = f"jar:file:{quote(own[0])}!/{file}" if own else ""
        return above or (SimpleNamespace(toString=lambda: found) if own else None)

    def addURL(self, url: str) -> None:  # noqa: N802 (Java's name)
        if not self.takes_jars:
            raise RuntimeError("Method addURL([class java.net.URL]) does not exist")
        self.jars.append(url.removeprefix("file://"))


@dataclass
class Job:
    """A JVM with jars on its class path and in the loader of `--jars`, and its settings."""

    class_path: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    conf: dict[str, str] = field(default_factory=dict)
    spark: str = "4.2.0"
    takes_jars: bool = True
    encoding: str = "UTF-8"

    def __post_init__(self) -> None:
        self.system = Loader(self.class_path)
        self.loader = Loader(list(self.given), self.system, self.takes_jars)

    @property
    def jvm(self) -> Any:
        of = SimpleNamespace
        package = of(**{"MODULE$": of(SPARK_VERSION=lambda: self.spark)})
        thread = of(getContextClassLoader=lambda: self.loader)
        nothing = of(isPresent=lambda: False)
        process = of(pid=lambda: 0, info=lambda: of(arguments=lambda: nothing))
        lang = of(
            System=of(getProperty={"sun.jnu.encoding": self.encoding}.get),
            Thread=of(currentThread=lambda: thread),
            ClassLoader=of(getSystemClassLoader=lambda: self.system),
            ProcessHandle=of(current=lambda: process),
        )
        java = of(lang=lang, net=of(URL=str))
        spark = of(**{"package$": package})
        return of(java=java, org=of(apache=of(spark=spark)))

    def prepare(self, wanted: tuple[Jar, ...] = DELTA) -> list[str]:
        conf = {
            "spark.master": "local[*]",
            "spark.sql.extensions": DELTA_EXTENSION,
            "spark.sql.catalog.spark_catalog": DELTA_CATALOG,
            **({"spark.jars": ",".join(f"file:{quote(x)}" for x in self.given)}),
            **self.conf,
        }
        return Submitted(self.jvm, conf, ARGV).prepare(wanted)

    def refused(self, wanted: tuple[Jar, ...] = DELTA) -> UsageError:
        before = list(self.loader.jars)
        with pytest.raises(UsageError) as refused:
            self.prepare(wanted)
        assert self.loader.jars == before
        assert "nothing was started" in refused.value.untouched
        return refused.value


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder of jars, with all that are wanted."""
    folder = tmp_path / "jars"
    monkeypatch.setenv("MEDALLION_CACHE", str(tmp_path))
    monkeypatch.setenv("SPARK_HOME", "/opt/spark")
    monkeypatch.setattr(submitted, "delta_jars", lambda jars, **_: [folder / x.file for x in jars])
    monkeypatch.setattr(submitted, "are_cached", lambda _: True)
    return folder


def names(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


# What is added


def test_what_is_not_there_is_added_and_named_to_executors(folder: Path) -> None:
    job = Job()
    added = [str(folder / SPARK), str(folder / STORAGE)]
    assert job.prepare() == added
    assert job.loader.jars == added
    # The context that is made afterwards has to be given the same jars.
    assert job.prepare() == added


def test_what_is_there_is_left_alone() -> None:
    assert Job(given=[f"/my jars/{SPARK}", f"/my jars/{STORAGE}"]).prepare() == []
    assert Job(class_path=[f"/my/{SPARK}", f"/my/{STORAGE}"]).prepare() == []
    assert names(Job(given=[f"/my/{SPARK}"]).prepare()) == [STORAGE]


@pytest.mark.parametrize(
    "name",
    [
        "delta-spark_2.13-4.4.0.jar",  # the same bytes under another name
        "io.delta_delta-spark_4.2_2.13-4.4.0.jar",
        "delta-spark_4.2_2.13-4.4.1.jar",
        "delta-spark-of-ours.jar",
    ],
)
def test_a_delta_that_fits_is_taken_whatever_its_name(name: str) -> None:
    assert Job(given=[f"/my/{name}", f"/my/{STORAGE}"]).prepare() == []


def test_executors_elsewhere_need_what_only_the_drivers_class_path_has() -> None:
    cluster = {"spark.master": "spark://h:7077"}
    path = [f"/my/{SPARK}", f"/my/{STORAGE}"]
    assert names(Job(class_path=path, conf=cluster).prepare()) == [SPARK, STORAGE]
    sent = {"spark.yarn.dist.jars": f"file:/my/{SPARK},file:/my/{STORAGE}"}
    assert Job(class_path=path, conf=cluster | sent).prepare() == []
    own = {"spark.executor.extraClassPath": "/there/*"}
    assert Job(class_path=path, conf=cluster | own).prepare() == []
    of_spark = [f"/opt/spark/jars/{SPARK}", f"/opt/spark/jars/{STORAGE}"]
    assert Job(class_path=of_spark, conf=cluster).prepare() == []


def test_a_store_needs_jars_of_its_own() -> None:
    wanted = (*DELTA, *S3A)
    assert names(Job().prepare(wanted)) == [jar.file for jar in wanted]
    given = [f"/my/{SPARK}", f"/my/{STORAGE}", "/my/bundle-2.35.4.jar"]
    assert names(Job(given=given).prepare(wanted)) == ["hadoop-aws-3.5.0.jar"]
    assert Job(given=[*given, "/my/hadoop-aws-3.5.0.jar"]).prepare(wanted) == []


# What is refused


def test_a_class_path_does_not_see_what_is_not_on_it() -> None:
    typed = f"/my/{SPARK}"
    conf = {"spark.driver.extraClassPath": typed}
    for given in ([], [f"/my/{STORAGE}"]):
        error = Job(class_path=[typed], given=given, conf=conf).refused()
        assert error.what.startswith(f"{SPARK} is on the driver's class path, but {STORAGE}, which")
        assert error.next_step.startswith("spark-submit --jars")
        assert typed not in error.next_step
    # What is added sees what is on the class path.
    assert names(Job(class_path=[f"/my/{STORAGE}"]).prepare()) == [SPARK]

    both = [f"/my/{SPARK}", f"/my/{STORAGE}", "/opt/spark/jars/hadoop-aws-3.5.0.jar"]
    assert Job(class_path=both).prepare() == []
    error = Job(class_path=both).refused((*DELTA, *S3A))
    assert error.next_step.startswith(f"remove {both[-1]}; then spark-submit")


@pytest.mark.parametrize(
    "wrong",
    [
        "delta-spark_2.12-3.3.2.jar",
        "delta-spark_2.13-4.0.0.jar",
        "delta-spark_4.0_2.13-4.4.0.jar",
        "delta-spark_2.12-4.4.0.jar",
        "delta-core_2.12-2.4.0.jar",
        "io.delta_delta-spark_2.13-4.0.0.jar",
    ],
)
def test_another_delta_is_refused_with_the_line_to_type(folder: Path, wrong: str) -> None:
    error = Job(given=[f"/old/{wrong}", f"/my/{STORAGE}"]).refused()
    assert error.exit_code == 2
    assert f"the job has {wrong}, but needs {SPARK}" in error.what
    assert error.next_step == (
        f"spark-submit --jars {folder / SPARK},{folder / STORAGE}"
        f" --conf spark.sql.extensions={DELTA_EXTENSION}"
        f" --conf spark.sql.catalog.spark_catalog={DELTA_CATALOG} {' '.join(ARGV)}"
    )


def test_another_storage_layer_is_refused_too() -> None:
    error = Job(given=[f"/my/{SPARK}", "/old/delta-storage-3.3.2.jar"]).refused()
    assert "the job has delta-storage-3.3.2.jar" in error.what


def test_the_version_of_a_jar_of_another_name_is_in_its_manifest(tmp_path: Path) -> None:
    jar = tmp_path / "my-delta-spark.jar"
    for version, fits in (("4.4.0", True), ("3.3.2", False)):
        with zipfile.ZipFile(jar, "w") as archive:
            archive.writestr(
                "META-INF/MANIFEST.MF",
                f"Manifest-Version: 1.0\r\nImplementation-Title: delta-spark\r\n"
                f"Implementation-Version: {version}\r\n",
            )
        job = Job(given=[str(jar), f"/my/{STORAGE}"])
        if fits:
            assert job.prepare() == []
        else:
            assert jar.name not in job.refused().next_step


def test_a_jar_in_sparks_own_folder_has_to_be_removed_first() -> None:
    of_spark = "/opt/spark/jars/delta-spark_2.13-4.0.0.jar"
    error = Job(class_path=[of_spark], given=[f"/my/{STORAGE}"]).refused()
    assert error.next_step.startswith(f"remove {of_spark}; then spark-submit --jars")
    typed = "/old/delta-spark_2.13-4.0.0.jar"
    conf = {"spark.driver.extraClassPath": typed}
    error = Job(class_path=[typed], given=[f"/my/{STORAGE}"], conf=conf).refused()
    assert error.next_step.startswith("spark-submit --jars")
    assert typed not in error.next_step


@pytest.mark.parametrize("version", ["3.5.8", "4.0.1", "4.20.0", "5.0.0"])
def test_another_spark_is_refused_with_the_one_of_this_environment(version: str) -> None:
    error = Job(spark=version).refused()
    assert f"to Spark {version}, but this package needs Spark 4.2" in error.what
    own = Path(sys.executable).with_name("spark-submit")
    assert error.next_step.startswith(f"env -u SPARK_HOME {own} --jars")


@pytest.mark.parametrize(
    ("key", "has"),
    [
        ("spark.sql.extensions", f"org.example.Other,{DELTA_EXTENSION}X"),
        ("spark.sql.catalog.spark_catalog", "org.example.Catalog"),
    ],
)
def test_other_settings_are_refused(key: str, has: str) -> None:
    error = Job(conf={key: has}).refused()
    assert f"{key} is {has}, but has to be" in error.what
    assert f"spark.sql.catalog.spark_catalog={DELTA_CATALOG}" in error.next_step
    both = {"spark.sql.extensions": f"org.example.Other, {DELTA_EXTENSION}"}
    assert Job(given=[f"/my/{SPARK}", f"/my/{STORAGE}"], conf=both).prepare() == []


def test_jars_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> list[Path]:
        raise TransientError(
            "https://repo.test/x.jar could not be fetched: no route",
            code="jar_not_fetched",
            untouched="~/jars keeps nothing yet",
            next_step="type the same command again",
        )

    monkeypatch.setattr(submitted, "delta_jars", unreachable)
    monkeypatch.setattr(submitted, "are_cached", lambda _: False)
    error = Job().refused()
    assert (
        f"was started without {SPARK}, and it is not on this machine: https://repo.test"
        in error.what
    )
    line, hint = error.next_step.splitlines()
    assert line.startswith(f"{sys.executable} -m medallion_jobs.runtime jars && spark-submit ")
    assert hint.strip() == "type the same command again"
    of_store = Job(given=[f"/my/{SPARK}", f"/my/{STORAGE}"]).refused((*DELTA, *S3A))
    assert " -m medallion_jobs.runtime jars --all && " in of_store.next_step
    assert "hadoop-aws" in of_store.next_step


def test_a_class_loader_that_takes_no_jar() -> None:
    error = Job(takes_jars=False).refused()
    assert "its class loader does not accept jars" in error.what
    assert error.next_step.startswith("spark-submit --jars")


def test_a_driver_in_cluster_mode_names_the_script() -> None:
    for conf in (
        {"spark.submit.deployMode": "cluster"},
        {"spark.kubernetes.submitInDriver": "true"},
    ):
        wrong = Job(
            given=["/old/delta-spark_2.13-4.0.0.jar"], conf={"spark.master": "yarn", **conf}
        )
        assert wrong.refused().next_step == (
            "scripts/submit bronze --config conf/sales.yaml --master yarn --deploy-mode cluster"
        )


# Names outside ASCII


@pytest.mark.parametrize("encoding", ["ANSI_X3.4-1968", "ISO-8859-1"])
def test_names_need_a_jvm_under_a_utf8_locale(encoding: str) -> None:
    job = Submitted(Job(encoding=encoding).jvm, {"spark.master": "local"}, ARGV)
    job.check_names(["/lake", "s3a://lake/Umsätze"])
    with pytest.raises(UsageError, match="cannot open /Umsätze") as refused:
        job.check_names(["/lake", "/Umsätze"])
    assert refused.value.next_step.startswith("env LC_ALL=C.UTF-8 spark-submit ")
    Submitted(Job().jvm, {"spark.master": "local"}, ARGV).check_names(["/Umsätze"])


def test_arguments_that_spark_submit_has_changed_are_refused() -> None:
    changed = [*ARGV, "--set", "spark.conf.spark.password=geheim????"]
    for encoding, argv, is_refused in (
        ("ANSI_X3.4-1968", ARGV, False),
        ("ANSI_X3.4-1968", changed, True),
        ("UTF-8", changed, False),
    ):
        job = Submitted(Job(encoding=encoding).jvm, {"spark.master": "local"}, argv)
        if is_refused:
            with pytest.raises(UsageError, match="letters outside ASCII") as refused:
                job.check_arguments()
            assert "geheim" not in str(refused.value)
        else:
            job.check_arguments()
