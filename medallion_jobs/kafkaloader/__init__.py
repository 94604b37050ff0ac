"""Kafka topics as a source of bronze: reads them by their offsets, and sets bad messages aside.

The room is not called `kafka`: spark-submit puts the package's folder first on `sys.path`, where it
would hide the client of that name.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from medallion_jobs.kafkaloader.offsets import KafkaOffsets

if TYPE_CHECKING:
    from medallion_jobs.kafkaloader.loader import KafkaLoader

__all__ = ["KafkaLoader", "KafkaOffsets", "broker", "columns", "decoders", "offsets", "poison"]


def __getattr__(name: str) -> object:
    # It imports pyspark, and commands that only look at offsets answer without it.
    if name != "KafkaLoader":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.loader").KafkaLoader
