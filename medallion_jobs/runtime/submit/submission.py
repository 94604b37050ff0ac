"""The line for spark-submit: what the user wrote, and what the master needs besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs.runtime.jars import needed
from medallion_jobs.runtime.spark_home import spark_environment
from medallion_jobs.runtime.submit import refusals, ways
from medallion_jobs.runtime.submit.job import Job
from medallion_jobs.runtime.submit.spark_options import LISTS, SparkOptions, kind_of

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline

# Of the config's settings, those that count before there is a driver; it sets the others.
_BEFORE_THE_DRIVER = ("spark.kubernetes.", "spark.yarn.", "spark.driver.memory")


@dataclass(frozen=True)
class Submission:
    """A line to run, and the environment variables to run it under."""

    line: tuple[str, ...]
    environ: Mapping[str, str]


def submission(
    job: Job, spark: SparkOptions, environ: Mapping[str, str], tell: Callable[[str], None]
) -> Submission:
    """How to run a job; what is passed to spark-submit itself wins over all else.

    Raises:
        MedallionError: the master does not take such a job, or something would be missing
            where the driver runs, or a secret would stand in the line.
    """
    mode = spark.deploy_mode or job.deploy_mode or spark.setting("spark.submit.deployMode")
    away = mode == "cluster"
    refusals.secrets_in_line(job.sets, spark.conf)
    pipeline = refusals.mistakes_in_config(job, away, tell)
    said = spark.master or job.master or spark.setting("spark.master")
    master = said or (pipeline.spark.master if pipeline else None) or "local[*]"
    kind = kind_of(master)
    # Where the config is not here, it may name what is in a store.
    jars = needed(objects=pipeline is None or pipeline.has_objects)
    if away:
        refusals.cluster_mode(kind, pipeline, environ)
    if not away:
        way = ways.here(job, master, jars, environ, tell)
    elif kind == "yarn" or spark.setting(ways.UPLOAD):
        way = ways.carried(job, kind, jars, environ, tell)
    else:
        way = ways.in_image(job, jars, environ)
    settings = {**_name(job, pipeline), **_of_config(pipeline, away), **way.settings}
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
    return Submission(line, {**way.environ, **home})


def _name(job: Job, pipeline: Pipeline | None) -> dict[str, str]:
    # Spark would call it after the job's file, which tells no pipeline from another.
    name = pipeline.pipeline if pipeline else Path(job.config_there).stem
    return {"spark.app.name": f"medallion {name} {job.layer}"}


def _of_config(pipeline: Pipeline | None, away: bool) -> dict[str, str]:
    if pipeline is None:
        return {}
    memory = pipeline.spark.driver_memory
    settings = {"spark.driver.memory": memory} if memory else {}
    if away:
        settings |= {
            key: str(value)
            for key, value in pipeline.spark.conf.items()
            if key.startswith(_BEFORE_THE_DRIVER) and refusals.may_be_shown(key, value)
        }
    return settings


def _lists(ours: Mapping[str, list[str]], spark: SparkOptions) -> list[str]:
    """`--jars` and the like: of two, or of an option and a setting, Spark takes only one."""
    words = []
    for name, (separator, key) in LISTS.items():
        theirs = spark.lists[name] or spark.setting(key)
        values = [*ours.get(name, ()), *([theirs] if theirs else [])]
        if values:
            words += ["--" + name.replace("_", "-"), separator.join(values)]
    return words
