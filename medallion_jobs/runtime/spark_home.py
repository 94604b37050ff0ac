"""The Spark of the installed pyspark, and the environment for its scripts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.java import find_java


def spark_home() -> Path:
    """The folder with `bin/spark-submit` and `jars/`.

    Raises:
        UsageError: pyspark is not installed in this Python.
    """
    package = importlib.util.find_spec("pyspark")
    if package is None or not package.submodule_search_locations:
        raise UsageError(
            "this Python has no pyspark",
            code="no_pyspark",
            untouched="nothing was started",
            next_step="scripts/setup.py",
        )
    return Path(package.submodule_search_locations[0])


def spark_environment() -> dict[str, str]:
    """The environment variables that Spark's own scripts need."""
    return {"SPARK_HOME": str(spark_home()), "JAVA_HOME": str(find_java().home)}
