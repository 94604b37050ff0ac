"""Messages as rows: keys and values checked and decoded, strictly, with Spark's own expressions.

A message whose key or value is not what the config says is bad: it goes to quarantine with all its
bytes. Without a value it is a tombstone, and a row like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs import clock
from medallion_jobs.autoloader.readers import json_reasons
from medallion_jobs.config import KafkaSource
from medallion_jobs.kafkaloader.avro import Decoder
from medallion_jobs.kafkaloader.columns import DATA, KEY, VALUE
from medallion_jobs.lake.columns import BATCH_ID
from medallion_jobs.lake.values import json_parts

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Why a message is bad, null for a good one; no column of a table has a space in its name.
FAULT = "fault of the message"
_DECODED = "decoded {}"


@dataclass(frozen=True)
class Messages:
    """The messages of a batch.

    Attributes:
        frame: as Spark reads them, with `FAULT`.
        columns: those of the table, from a good message.
    """

    frame: DataFrame
    columns: Sequence[Column]


def of(
    frame: DataFrame, source: KafkaSource, decoders: Mapping[str, Decoder], batch: int
) -> Messages:
    """The messages of a frame of Spark's Kafka source.

    Args:
        decoders: for Avro keys and values, by `KEY` and `VALUE`.
    """
    for part, decoder in decoders.items():
        frame = frame.withColumn(_DECODED.format(part), decoder.decoded(F.col(part)))
    faults = [
        F.when(F.col(part).isNotNull(), _fault(part, form, decoders.get(part)))
        for part, form in ((KEY, source.key), (VALUE, source.value))
    ]
    about = {
        source.load_time_column: F.lit(clock.now()),
        BATCH_ID: F.lit(batch).cast("bigint"),
    }
    columns = [
        *_columns(KEY, source.key, decoders),
        *_columns(VALUE, source.value, decoders),
        *map(F.col, ("topic", "partition", "offset", "timestamp", "headers")),
        *(about[name].alias(name) for name in (source.load_time_column, *source.add_columns)),
    ]
    return Messages(frame.withColumn(FAULT, F.coalesce(*faults)), columns)


def _columns(part: str, form: str, decoders: Mapping[str, Decoder]) -> list[Column]:
    raw = F.col(part)
    if form in ("json", "text"):
        return [raw.cast("string").alias(part)]
    if part not in decoders or decoders[part].kind is None:
        return [raw]
    return [raw, decoders[part].data(F.col(_DECODED.format(part))).alias(DATA[part])]


def _fault(part: str, form: str, decoder: Decoder | None) -> Column:
    """Why a key or value that is not null is bad; null if it is good."""
    if form == "binary":
        return F.lit(None).cast("string")
    if decoder is not None:
        why = decoder.fault(F.col(part), F.col(_DECODED.format(part)))
    else:
        text = F.col(part).cast("string")
        why = _fault_of_json(text) if form == "json" else _fault_of_text(part, text)
    return F.concat(F.lit(f"{part}: "), why)


def _fault_of_text(part: str, text: Column) -> Column:
    return F.when(~F.is_valid_utf8(text), f"bytes that are not UTF-8; see {part}: binary")


def _fault_of_json(text: Column) -> Column:
    """Why a text is not exactly one JSON value; null if it is."""
    is_text = F.is_valid_utf8(text)
    members = F.when(is_text & json_parts.is_one(text), json_parts.members(text))
    is_object = F.coalesce(json_parts.has_distinct_keys(members), F.lit(False))
    is_array = F.startswith(F.ltrim(text), F.lit("[")) & json_parts.is_one(text)
    is_scalar = json_reasons.is_scalar(text) & json_parts.is_valid(text)
    why = json_reasons.of_text(text, is_text, "bytes that are not UTF-8", members)
    why = (
        F.when(F.length(text) == 0, "empty, which is not JSON")
        .when(F.ascii(text) == 0, "it starts with a null byte, as Avro messages of a registry do")
        .otherwise(why.otherwise("not valid JSON, or more than one value"))
    )
    return F.when(~(is_text & (is_object | is_array | is_scalar)), why)
