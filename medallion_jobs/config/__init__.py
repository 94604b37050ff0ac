"""The config: a typed model, read from layers, that knows who set each value.

No module here imports pyspark, so the commands that need no JVM start at once.
"""

from medallion_jobs.config.effective import Setting
from medallion_jobs.config.loader import Loaded, load, made_of
from medallion_jobs.config.model import (
    BronzeTable,
    GoldTable,
    Landing,
    Lookup,
    Pipeline,
    SilverTable,
    SparkSettings,
    Storage,
    Trigger,
)
from medallion_jobs.config.names import LAYERS, Layer, TableRef
from medallion_jobs.config.problems import ConfigError, Problem
from medallion_jobs.config.schema import json_schema
from medallion_jobs.config.source import CleanSource, Evolution, Format, Source
from medallion_jobs.config.tree import Origin

__all__ = [
    "LAYERS",
    "BronzeTable",
    "CleanSource",
    "ConfigError",
    "Evolution",
    "Format",
    "GoldTable",
    "Landing",
    "Layer",
    "Loaded",
    "Lookup",
    "Origin",
    "Pipeline",
    "Problem",
    "Setting",
    "SilverTable",
    "Source",
    "SparkSettings",
    "Storage",
    "TableRef",
    "Trigger",
    "json_schema",
    "load",
    "made_of",
]
