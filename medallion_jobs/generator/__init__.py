"""Synthetic data: files for the landing folder, and the dimensions they refer to."""

from medallion_jobs.generator.feed import Dimension, Feed, MadeFile
from medallion_jobs.generator.feeds import FEEDS, feed_for
from medallion_jobs.generator.made import is_made, made_files
from medallion_jobs.generator.plan import FileOrder, Plan, draw_seed
from medallion_jobs.generator.run import generate
from medallion_jobs.generator.seeding import seed
from medallion_jobs.generator.stopping import stopping_on_signals
from medallion_jobs.generator.summary import FileCounts, Summary

__all__ = [
    "FEEDS",
    "Dimension",
    "Feed",
    "FileCounts",
    "FileOrder",
    "MadeFile",
    "Plan",
    "Summary",
    "draw_seed",
    "feed_for",
    "generate",
    "is_made",
    "made_files",
    "seed",
    "stopping_on_signals",
]
