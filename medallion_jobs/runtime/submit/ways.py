"""Three ways to provide a driver with what it needs.

    here        client mode: the driver uses this Python and this machine's files
    carried     cluster mode on YARN, or on Kubernetes through a store: all is sent along
    in_image    cluster mode on Kubernetes: all is in the image

Executors only need the jars, and get them from the driver: they run no Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.jars import Jar, delta_jars
from medallion_jobs.runtime.jvm_options import as_text, driver_options
from medallion_jobs.runtime.submit.environment import packed_environment
from medallion_jobs.runtime.submit.job import IN_IMAGE, Job
from medallion_jobs.runtime.submit.packing import PACKAGE, config_zip, package_zip
from medallion_jobs.runtime.submit.spark_options import is_on_loopback

UPLOAD = "spark.kubernetes.file.upload.path"
# Our folders in the driver's working folder.
_CONFIG = "medallion-conf"
_ENVIRONMENT = "environment"
_PYTHON, _DRIVER_PYTHON = "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"


@dataclass(frozen=True)
class Way:
    """What a way adds to the command.

    Attributes:
        main_file: the job's file, as a path for spark-submit.
        config: the config, as a path for the job.
        lists: values for `--jars` and the other lists, by name.
        environ: the environment variables of spark-submit.
        settings: values for `--conf`.
    """

    main_file: str
    config: str
    lists: Mapping[str, list[str]]
    environ: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)


def here(
    job: Job,
    master: str,
    wanted: Sequence[Jar],
    environ: Mapping[str, str],
    report: Callable[[str], None],
) -> Way:
    """For client mode.

    Raises:
        UsageError: an option is only for a driver on another machine.
    """
    if job.config is None or job.environment:
        what = f"--config {IN_IMAGE}…" if job.config is None else "--environment"
        raise UsageError(
            f"{what} is for a driver on another machine, but this one runs here",
            code="not_for_local_driver",
            untouched="nothing was started",
            next_step="leave it out, or add --deploy-mode cluster",
        )
    jars = [str(jar) for jar in delta_jars(tuple(wanted), report=report)]
    is_short = master.startswith("local") and not any(
        option.startswith("--continuous") for option in job.options
    )
    # A laptop's host name may resolve to an address that changes with its network.
    address = {"SPARK_LOCAL_IP": "127.0.0.1"} if is_on_loopback(master) else {}
    return Way(
        main_file=str(PACKAGE / f"{job.layer}.py"),
        config=str(job.config),
        lists={"jars": jars, "driver_class_path": jars},
        environ={**address, **environ, **dict.fromkeys((_PYTHON, _DRIVER_PYTHON), sys.executable)},
        # As a setting, so that executors can use another Python while the driver keeps this one.
        settings={
            "spark.pyspark.driver.python": sys.executable,
            "spark.driver.extraJavaOptions": as_text(driver_options(short=is_short)),
        },
    )


def carried(
    job: Job,
    kind: str,
    wanted: Sequence[Jar],
    environ: Mapping[str, str],
    report: Callable[[str], None],
) -> Way:
    """For cluster mode in which spark-submit sends files of this machine."""
    archives, config, settings = [], job.config_at_driver, {}
    if job.config is not None:
        archives.append(f"{config_zip(job.config, job.env)}#{_CONFIG}")
        config = f"{_CONFIG}/{job.config.name}"
    if job.environment:
        archives.append(f"{_environment(job.environment, report)}#{_ENVIRONMENT}")
        of_yarn = f"spark.yarn.appMasterEnv.{_PYTHON}"
        key = of_yarn if kind == "yarn" else "spark.pyspark.python"
        settings[key] = f"./{_ENVIRONMENT}/bin/python"
    return Way(
        main_file=str(PACKAGE / f"{job.layer}.py"),
        config=config,
        lists={
            "jars": [str(jar) for jar in delta_jars(tuple(wanted), report=report)],
            "py_files": [str(package_zip())],
            "archives": archives,
        },
        environ=_without_drivers_python(environ),
        settings=settings,
    )


def in_image(job: Job, wanted: Sequence[Jar], environ: Mapping[str, str]) -> Way:
    """For cluster mode on Kubernetes.

    Raises:
        UsageError: the config or the environment is on this machine only.
    """
    home = f"{IN_IMAGE}{job.image_home}"
    if job.config is not None or job.environment:
        what = "the environment" if job.config is None else f"the config {job.config}"
        raise UsageError(
            f"{what} is on this machine, but the driver runs in a pod",
            code="not_for_a_pod",
            untouched="nothing was started",
            next_step=f"use a config in the image, --config {home}/conf/sales.yaml, or a "
            f"store to upload it to: -- --conf {UPLOAD}=s3a://BUCKET/FOLDER",
        )
    return Way(
        main_file=f"{home}/medallion_jobs/{job.layer}.py",
        config=job.config_at_driver,
        lists={"jars": [f"{IN_IMAGE}{job.image_jars}/{jar.file}" for jar in wanted]},
        environ=_without_drivers_python(environ),
    )


def _environment(named: str, report: Callable[[str], None]) -> Path:
    archive = packed_environment(report) if named == "pack" else Path(named)
    if not archive.is_file():
        raise UsageError(
            f"there is no packed environment {archive}",
            code="no_packed_environment",
            untouched="nothing was started",
            next_step="create one with --environment pack, or leave it out if the nodes have all "
            "packages",
        )
    return archive


def _without_drivers_python(environ: Mapping[str, str]) -> dict[str, str]:
    """Removes the path of this Python, which spark-submit would pass to a remote driver."""
    return {key: value for key, value in environ.items() if key != _DRIVER_PYTHON}
