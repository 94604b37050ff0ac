"""One layer to spark-submit: the line, and what has to travel with it."""

from medallion_jobs.runtime.submit.command import main

__all__ = ["main"]
