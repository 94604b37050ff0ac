"""Submits a layer: the command for spark-submit, and the files to send along."""

from medallion_jobs.runtime.submit.command import main

__all__ = ["main"]
