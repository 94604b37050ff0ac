"""Runs jobs: the Spark session, the stream protocol, the supervisor, failures."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medallion_jobs.engine.runner import run

__all__ = ["failures", "query", "run", "runner", "session", "stream", "supervisor"]


def __getattr__(name: str) -> object:
    # It imports pyspark, and commands that start no job answer without it.
    if name != "run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.runner").run
