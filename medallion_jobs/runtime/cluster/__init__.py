"""A small Spark cluster on this machine: one master and some workers, on loopback only."""

from medallion_jobs.runtime.cluster.command import main

__all__ = ["main"]
