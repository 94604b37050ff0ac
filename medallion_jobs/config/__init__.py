"""The config: a typed model, merged from layers, that records where each value was set.

No module here imports pyspark, so commands that need no JVM start fast.
"""

from medallion_jobs.config.apply_changes import ApplyChanges
from medallion_jobs.config.effective import Setting
from medallion_jobs.config.envelope import Envelope, ValueForm
from medallion_jobs.config.expectations import Expectation
from medallion_jobs.config.gold import GoldTable, Measure, Period
from medallion_jobs.config.kafka_source import KafkaSource
from medallion_jobs.config.layout import Layout
from medallion_jobs.config.loader import Loaded, load, outline, pipeline_from_values
from medallion_jobs.config.lookups import Lookup, Reference
from medallion_jobs.config.model import (
    BronzeTable,
    Landing,
    Pipeline,
    SavedQuery,
    SparkSettings,
    Storage,
)
from medallion_jobs.config.names import LAYERS, Layer, TableRef
from medallion_jobs.config.overrides import as_options
from medallion_jobs.config.problems import ConfigError, Problem, nearest
from medallion_jobs.config.schema import json_schema
from medallion_jobs.config.selection import Selection
from medallion_jobs.config.silver import Cast, Dedupe, Deletes, Parse, SilverTable, Watermark
from medallion_jobs.config.sinks import Jdbc, Sink
from medallion_jobs.config.snapshot import Snapshot
from medallion_jobs.config.source import CleanSource, Evolution, FileSource, Format
from medallion_jobs.config.tree import Origin
from medallion_jobs.config.trigger import Restart, Trigger

__all__ = [
    "LAYERS",
    "ApplyChanges",
    "BronzeTable",
    "Cast",
    "CleanSource",
    "ConfigError",
    "Dedupe",
    "Deletes",
    "Envelope",
    "Evolution",
    "Expectation",
    "FileSource",
    "Format",
    "GoldTable",
    "Jdbc",
    "KafkaSource",
    "Landing",
    "Layer",
    "Layout",
    "Loaded",
    "Lookup",
    "Measure",
    "Origin",
    "Parse",
    "Period",
    "Pipeline",
    "Problem",
    "Reference",
    "Restart",
    "SavedQuery",
    "Selection",
    "Setting",
    "SilverTable",
    "Sink",
    "Snapshot",
    "SparkSettings",
    "Storage",
    "TableRef",
    "Trigger",
    "ValueForm",
    "Watermark",
    "apply_changes",
    "as_options",
    "json_schema",
    "kafka_options",
    "kafka_source",
    "load",
    "names",
    "nearest",
    "outline",
    "pipeline_from_values",
    "problems",
    "project",
    "reference",
    "secrecy",
    "selection",
    "sinks",
    "tree",
    "units",
    "yaml_text",
]
