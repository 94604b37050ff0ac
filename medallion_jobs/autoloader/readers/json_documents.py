"""Reads JSON files with one document each: an object, or an array of objects, over many lines.

Each object becomes a record and is read like a line of JSON lines. An invalid document is one
bad record, and so is each element of an array that is not an object. A whole document is held
in memory, several times over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.readers import encodings, json_lines, json_reasons, text_input
from medallion_jobs.autoloader.readers.encodings import Encoding
from medallion_jobs.autoloader.readers.json_lines import MEMBERS
from medallion_jobs.autoloader.readers.json_schema import JsonFiles
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS, Input, Records
from medallion_jobs.autoloader.readers.text_input import VALUE
from medallion_jobs.lake.values import json_parts

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Whether a record is a whole document, and its bytes.
_IS_DOCUMENT, _BYTES = "is document", "document bytes"


class JsonDocuments(JsonFiles):
    """Reads files that are a JSON object, or an array of objects."""

    def records(self, given: Input, columns: StructType) -> Records:
        encoding = encodings.of(given.options)
        elements = _elements(text_input.documents(given), encoding)
        text = F.col(VALUE)
        is_json = text_input.is_text(elements, encoding) & json_parts.is_one(text)
        frame = elements.withColumn(MEMBERS, F.when(is_json, json_parts.members(text)))
        reason = json_reasons.of_document(frame, encoding, F.col(MEMBERS), F.col(_IS_DOCUMENT))
        return json_lines.records_of(frame, columns, given, reason, F.col(_BYTES))


def _elements(documents: DataFrame, encoding: Encoding) -> DataFrame:
    """The elements of documents, objects or not; a blank document has none."""
    text = F.col(VALUE)
    whole = _element(text, text_input.raw_bytes(documents, encoding), is_document=True)
    array = F.transform(
        json_parts.elements(text),
        lambda item: _element(item, item.cast("binary"), is_document=False),
    )
    is_array = text_input.is_text(documents, encoding) & json_parts.is_one(text)
    entries, beside = F.when(is_array, array), [*text_input.beside(documents), *FILE_COLUMNS]
    return (
        documents.where(F.trim(text, F.lit(" \t\r\n\ufeff")) != "")
        .select(F.explode(F.coalesce(entries, F.array(whole))).alias("entry"), *beside)
        .select("entry.*", *beside)
    )


def _element(text: Column, raw_bytes: Column, *, is_document: bool) -> Column:
    return F.struct(
        text.alias(VALUE), raw_bytes.alias(_BYTES), F.lit(is_document).alias(_IS_DOCUMENT)
    )
