"""The image's entry script, with stand-ins for what it starts: they print how they were called."""

from __future__ import annotations

import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.lake import ROOT

BIN = ROOT / "deploy" / "docker" / "bin"
SECRET = "0123456789abcdef" * 4
TELLS = '#!/bin/bash\nprintf "%s\\n" "${0##*/}" "$@"\nenv | grep -E "SECRET|MEDALLION__" | sort\n'


@dataclass(frozen=True)
class Container:
    """A folder that stands for the image and its /tmp."""

    folder: Path

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "entrypoint"), *command],
            env={
                "PATH": f"{self.folder / 'path'}:/usr/bin:/bin",
                "MEDALLION_CACHE": str(self.folder / "cache"),
                "SPARK_CONF_DIR": str(self.folder / "tmp" / "conf"),
                "SPARK_LOCAL_DIRS": str(self.folder / "tmp" / "local"),
                "SPARK_WORKER_DIR": str(self.folder / "tmp" / "work"),
                "SPARK_LOCAL_HOSTNAME": "me",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def told(self, *command: str, **environment: str) -> list[str]:
        done = self.run(*command, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    @property
    def defaults(self) -> Path:
        return self.folder / "tmp" / "conf" / "spark-defaults.conf"

    @property
    def settings(self) -> dict[str, str]:
        lines = self.defaults.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    spark = tmp_path / "spark"
    for program in (
        spark / "bin" / "spark-submit",
        spark / "bin" / "spark-class",
        *(tmp_path / "path" / name for name in ("medallion", "java", "bucket")),
    ):
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(TELLS)
        program.chmod(0o755)
    python = tmp_path / "path" / "python"
    python.write_text(f"#!/bin/sh\necho {spark}\n")
    python.chmod(0o755)
    for jar in ("a-1.jar", "b-2.jar"):
        (tmp_path / "cache" / "jars").mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / "jars" / jar).touch()
    return Container(tmp_path)


def test_whatever_is_no_role_is_a_command_of_medallion(container: Container) -> None:
    assert container.told("status", "--json") == ["medallion", "status", "--json"]
    assert "spark.authenticate" not in container.settings


def test_the_secret_stands_in_a_private_file_and_on_no_command_line(container: Container) -> None:
    told = container.told(
        "run", "gold", SPARK_MASTER="spark://m:7077", SPARK_AUTH_SECRET=SECRET, SPARK_CORES_MAX="3"
    )
    assert told == [
        "medallion",
        "run",
        "gold",
        "MEDALLION__SPARK__MASTER=spark://m:7077",
        f"_SPARK_AUTH_SECRET={SECRET}",
    ]
    assert stat.S_IMODE(container.defaults.stat().st_mode) == 0o600
    settings = container.settings
    assert settings["spark.authenticate"] == settings["spark.network.crypto.enabled"] == "true"
    assert settings["spark.authenticate.secret"] == SECRET
    assert settings["spark.master.rest.enabled"] == settings["spark.ui.enabled"] == "false"
    assert settings["spark.cores.max"] == "3"


def test_the_secret_may_come_from_a_file(container: Container, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    container.told(
        "worker", SPARK_MASTER="spark://m:7077", SPARK_AUTH_SECRET_FILE=str(tmp_path / "secret")
    )
    assert container.settings["spark.authenticate.secret"] == SECRET


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("", "SPARK_AUTH_SECRET has 0 characters"),
        ("short", "SPARK_AUTH_SECRET has 5 characters"),
        (SECRET + "\nspark.jars=x", "has a character that a settings file would change"),
        (SECRET + "\\", "has a character that a settings file would change"),
    ],
)
@pytest.mark.parametrize("command", [("master",), ("worker",), ("run", "gold"), ("submit", "gold")])
def test_no_cluster_without_a_good_secret(
    container: Container, command: tuple[str, ...], secret: str, said: str
) -> None:
    done = container.run(*command, SPARK_MASTER="spark://m:7077", SPARK_AUTH_SECRET=secret)
    assert done.returncode == 2
    assert said in done.stderr
    assert "openssl rand -hex 32" in done.stderr
    assert not secret or secret not in done.stderr
    assert not container.defaults.exists()


def test_the_daemons_listen_on_the_services_name(container: Container) -> None:
    cluster = {"SPARK_MASTER": "spark://m:7077", "SPARK_AUTH_SECRET": SECRET}
    name, kind, *options = container.told("master", **cluster)[:8]
    assert (name, kind) == ("spark-class", "org.apache.spark.deploy.master.Master")
    assert options == ["--host", "me", "--port", "7077", "--webui-port", "8080"]
    name, kind, *options = container.told("worker", **cluster)[:5]
    assert (name, kind) == ("spark-class", "org.apache.spark.deploy.worker.Worker")
    assert options == ["--webui-port", "8081", "spark://m:7077"]


def test_a_layer_is_submitted_with_the_jars_of_the_image(container: Container) -> None:
    jars = [str(container.folder / "cache" / "jars" / name) for name in ("a-1.jar", "b-2.jar")]
    options = ("--master", "k8s://https://k", "--deploy-mode", "cluster")
    told = container.told(
        "submit", "silver", "--config", "c.yaml", *options, "--once", "--", "--name", "a b"
    )
    assert told == [
        "spark-submit",
        *options,
        "--jars",
        ",".join(f"local://{jar}" for jar in jars),
        "--driver-class-path",
        ":".join(jars),
        "--name",
        "a b",
        "local:///opt/medallion/medallion_jobs/silver.py",
        "--config",
        "c.yaml",
        "--once",
    ]


@pytest.mark.parametrize(
    "wrong", [("submit",), ("submit", "copper"), ("submit", "gold", "--master")]
)
def test_a_wrong_submission_is_told(container: Container, wrong: tuple[str, ...]) -> None:
    done = container.run(*wrong)
    assert done.returncode == 2
    assert "next:" in done.stderr


def test_on_kubernetes_spark_starts_its_driver(container: Container) -> None:
    told = container.told("driver", "--class", "C", "local:///x.py", SPARK_DRIVER_BIND_ADDRESS="ip")
    assert told == [
        "spark-submit",
        "--deploy-mode",
        "client",
        "--conf",
        "spark.driver.bindAddress=ip",
        "--class",
        "C",
        "local:///x.py",
    ]
    assert not container.defaults.exists()  # all settings come from Spark


def test_on_kubernetes_spark_starts_its_executors(container: Container) -> None:
    asked = {
        "SPARK_EXECUTOR_MEMORY": "1g",
        "SPARK_DRIVER_URL": "url",
        "SPARK_EXECUTOR_ID": "1",
        "SPARK_EXECUTOR_CORES": "2",
        "SPARK_APPLICATION_ID": "app",
        "SPARK_EXECUTOR_POD_IP": "ip",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_EXECUTOR_POD_NAME": "pod",
        "SPARK_CLASSPATH": "/x/*",
    }
    options = {f"SPARK_JAVA_OPT_{n}": f"-Da{n}={n} x" for n in range(11)}
    told = container.told("executor", **asked, **options)
    assert told == [
        "java",
        *(f"-Da{n}={n} x" for n in range(11)),
        "-Xms1g",
        "-Xmx1g",
        "-cp",
        f"{container.folder}/tmp/conf:/x/*:{container.folder}/spark/jars/*",
        "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend",
        *("--driver-url", "url", "--executor-id", "1", "--cores", "2", "--app-id", "app"),
        *("--hostname", "ip", "--resourceProfileId", "0", "--podName", "pod"),
    ]
