"""The command for spark-submit: the user's options, and what the master needs in addition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs.runtime.jars import needed
from medallion_jobs.runtime.locales import VARIABLE, utf8_environment
from medallion_jobs.runtime.spark_home import spark_environment
from medallion_jobs.runtime.submit import refusals, ways
from medallion_jobs.runtime.submit.job import Job
from medallion_jobs.runtime.submit.spark_options import LISTS, SparkOptions, kind_of

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline

# In cluster mode, the driver has the environment of its node or image, and these.
_ENVIRONMENT_OF_DRIVER = {"yarn": "spark.yarn.appMasterEnv.", "k8s": "spark.kubernetes.driverEnv."}
# Settings of the config that must be set before the driver starts; it sets the others itself.
_BEFORE_THE_DRIVER = ("spark.kubernetes.", "spark.yarn.", "spark.driver.memory")


@dataclass(frozen=True)
class Submission:
    """A command to run, and its environment variables."""

    line: tuple[str, ...]
    environ: Mapping[str, str]


def submission(
    job: Job, spark: SparkOptions, environ: Mapping[str, str], report: Callable[[str], None]
) -> Submission:
    """The command for a job; options of spark-submit itself take precedence.

    Raises:
        MedallionError: the master does not accept the job, something would be missing where the
            driver runs, or a secret would be in the command.
    """
    mode = spark.deploy_mode or job.deploy_mode or spark.setting("spark.submit.deployMode")
    is_cluster_mode = mode == "cluster"
    refusals.secrets_in_command(job.sets, spark.conf)
    config = refusals.checked_config(job, is_cluster_mode, report)
    pipeline = config.pipeline if config else None
    given = spark.master or job.master or spark.setting("spark.master")
    master = given or (pipeline.spark.master if pipeline else None) or "local[*]"
    kind = kind_of(master)
    # A config that is not on this machine may use an object store, and read Kafka topics.
    jars = needed(
        objects=pipeline is None or pipeline.has_objects,
        kafka=pipeline is None or bool(pipeline.kafka_sources),
    )
    if is_cluster_mode:
        refusals.unfit_for_cluster_mode(kind, config, environ)
    if not is_cluster_mode:
        way = ways.here(job, master, jars, environ, report)
    elif kind == "yarn" or spark.setting(ways.UPLOAD):
        way = ways.carried(job, kind, jars, environ, report)
    else:
        way = ways.in_image(job, jars, environ)
    settings = {**_name(job, pipeline), **_of_config(pipeline, is_cluster_mode), **way.settings}
    if is_cluster_mode and kind in _ENVIRONMENT_OF_DRIVER:
        settings[f"{_ENVIRONMENT_OF_DRIVER[kind]}{VARIABLE}"] = "C.UTF-8"
    settings = {key: value for key, value in settings.items() if spark.setting(key) is None}
    home = spark_environment()
    line = (
        f"{home['SPARK_HOME']}/bin/spark-submit",
        *("--master", master, *(("--deploy-mode", mode) if mode else ())),
        *_lists(way.lists, spark),
        *(word for pair in settings.items() for word in ("--conf", "=".join(pair))),
        *(word for pair in spark.conf.items() for word in ("--conf", "=".join(pair))),
        *spark.rest,
        *(way.main_file, "--config", way.config, *job.options),
    )
    return Submission(line, {**way.environ, **home, **utf8_environment(way.environ)})


def _name(job: Job, pipeline: Pipeline | None) -> dict[str, str]:
    # Spark would use the name of the job's file, which is the same for all pipelines.
    name = pipeline.pipeline if pipeline else Path(job.config_at_driver).stem
    return {"spark.app.name": f"medallion {name} {job.layer}"}


def _of_config(pipeline: Pipeline | None, is_cluster_mode: bool) -> dict[str, str]:
    if pipeline is None:
        return {}
    memory = pipeline.spark.driver_memory
    settings = {"spark.driver.memory": memory} if memory else {}
    if is_cluster_mode:
        settings |= {
            key: str(value)
            for key, value in pipeline.spark.conf.items()
            if key.startswith(_BEFORE_THE_DRIVER) and refusals.may_be_shown(key, value)
        }
    return settings


def _lists(ours: Mapping[str, list[str]], spark: SparkOptions) -> list[str]:
    """`--jars` and similar lists, with the user's items: Spark reads each list only once."""
    words = []
    for name, (separator, key) in LISTS.items():
        theirs = spark.lists[name] or spark.setting(key)
        values = [*ours.get(name, ()), *([theirs] if theirs else [])]
        if values:
            words += ["--" + name.replace("_", "-"), separator.join(values)]
    return words
