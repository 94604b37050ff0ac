"""The three ways in which a driver gets what it needs.

    Here       client mode: it is this environment's Python, with this machine's files
    Carried    cluster mode on YARN, or on Kubernetes by way of a store: all travels
    InImage    cluster mode on Kubernetes: the image holds all

Executors need the jars only, and get them from the driver: they run no Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.jars import DELTA, delta_jars
from medallion_jobs.runtime.submit.environment import packed_environment
from medallion_jobs.runtime.submit.job import IN_IMAGE, Job
from medallion_jobs.runtime.submit.packing import PACKAGE, config_zip, package_zip
from medallion_jobs.runtime.submit.spark_options import is_on_loopback

# Names of ours, below the folder that the driver works in.
_CONFIG = "medallion-conf"
_ENVIRONMENT = "environment"
_PYTHONS = ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")


class Way(Protocol):
    """What a way adds to the line.

    Attributes:
        main_file: the job's file, as spark-submit finds it.
        config: the config, as the job finds it.
        lists: values for `--jars` and the other lists, by name.
        settings: values for `--conf`.
    """

    main_file: str
    config: str
    lists: dict[str, list[str]]
    settings: dict[str, str]

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment variables to submit under, made of these."""


@dataclass
class Here:
    main_file: str
    config: str
    lists: dict[str, list[str]]
    settings: dict[str, str]
    address: str | None

    @classmethod
    def of(cls, job: Job, master: str, tell: Callable[[str], None]) -> Here:
        if job.config is None or job.environment:
            what = f"--config {IN_IMAGE}…" if job.config is None else "--environment"
            raise UsageError(
                f"{what} is for a driver that runs elsewhere, and this one runs here",
                untouched="nothing was started",
                next_step="leave it out, or add --deploy-mode cluster",
            )
        jars = [str(jar) for jar in delta_jars(tell=tell)]
        return cls(
            main_file=str(PACKAGE / f"{job.layer}.py"),
            config=str(job.config),
            lists={"jars": jars, "driver_class_path": jars},
            # A setting, so that executors can be given another Python and the driver keeps this.
            settings={"spark.pyspark.driver.python": sys.executable},
            # A laptop's own name may resolve to an address that changes with its network.
            address="127.0.0.1" if is_on_loopback(master) else None,
        )

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        address = {"SPARK_LOCAL_IP": self.address} if self.address else {}
        return {**address, **environ, **dict.fromkeys(_PYTHONS, sys.executable)}


@dataclass
class Carried:
    main_file: str
    config: str
    lists: dict[str, list[str]]
    settings: dict[str, str]

    @classmethod
    def of(cls, job: Job, kind: str, tell: Callable[[str], None]) -> Carried:
        archives, config = [], job.config_there
        if job.config is not None:
            archives.append(f"{config_zip(job.config, job.env)}#{_CONFIG}")
            config = f"{_CONFIG}/{job.config.name}"
        settings = {}
        if job.environment:
            archives.append(f"{_environment(job.environment, tell)}#{_ENVIRONMENT}")
            key = {"yarn": "spark.yarn.appMasterEnv.PYSPARK_PYTHON"}
            settings[key.get(kind, "spark.pyspark.python")] = f"./{_ENVIRONMENT}/bin/python"
        return cls(
            main_file=str(PACKAGE / f"{job.layer}.py"),
            config=config,
            lists={
                "jars": [str(jar) for jar in delta_jars(tell=tell)],
                "py_files": [str(package_zip())],
                "archives": archives,
            },
            settings=settings,
        )

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        return _as_elsewhere(environ)


@dataclass
class InImage:
    main_file: str
    config: str
    lists: dict[str, list[str]]
    settings: dict[str, str]

    @classmethod
    def of(cls, job: Job, upload: str) -> InImage:
        home = f"{IN_IMAGE}{job.image_home}"
        if job.config is not None or job.environment:
            what = "the environment" if job.config is None else f"the config {job.config}"
            raise UsageError(
                f"{what} is on this machine, and the driver will run in a pod",
                untouched="nothing was started",
                next_step=f"name what the image holds, --config {home}/conf/sales.yaml, or a "
                f"store to send it by: -- --conf {upload}=s3a://BUCKET/FOLDER",
            )
        return cls(
            main_file=f"{home}/medallion_jobs/{job.layer}.py",
            config=job.config_there,
            lists={"jars": [f"{IN_IMAGE}{job.image_jars}/{jar.file}" for jar in DELTA]},
            settings={},
        )

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        return _as_elsewhere(environ)


def _environment(named: str, tell: Callable[[str], None]) -> Path:
    archive = packed_environment(tell) if named == "pack" else Path(named)
    if not archive.is_file():
        raise UsageError(
            f"there is no packed environment {archive}",
            untouched="nothing was started",
            next_step="--environment pack makes one; leave it out where the nodes have all",
        )
    return archive


def _as_elsewhere(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the driver's Python: spark-submit would hand this machine's path on."""
    return {key: value for key, value in environ.items() if key != "PYSPARK_DRIVER_PYTHON"}
