"""Reads JSON files with one document each: an object, or an array of objects, over many lines.

Each object becomes a record and is read like a line of JSON lines. An invalid document is one
bad record, and so is each element of an array that is not an object. A whole document is held
in memory, several times over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.readers import json_lines, text_input
from medallion_jobs.autoloader.readers.json_lines import MARKED, OBJECTS, REPEATED, VALUE
from medallion_jobs.autoloader.readers.json_schema import JsonFiles
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS, Input, Records
from medallion_jobs.lake.values import json_marks, strict
from medallion_jobs.lake.values.strict import plain

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


# The document between a bracket and an end mark, as an array of texts: once unchanged, and once
# with marks (json_marks) if it needs them.
_WHOLE, _WHOLE_MARKED = "__whole", "__whole_marked"
_END = f'{{"{strict.END_MARK}":""}}'
_DOCUMENT_AND_END = 2
# A record's JSON (null if the document is bad), and whether it is the whole document.
_JSON, _IS_DOCUMENT = "__json", "__is_document"


class JsonDocuments(JsonFiles):
    """Reads files that are a JSON object, or an array of objects."""

    def records(self, given: Input, columns: StructType) -> Records:
        elements = _elements(text_input.documents(given))
        frame = elements.withColumn(OBJECTS, json_lines.parsed_objects(F.col(_JSON))).withColumn(
            MARKED, F.when(json_marks.are_in(F.col(_JSON)), json_lines.first())
        )
        return json_lines.records_of(frame, columns, given.options, _reason())


def _elements(documents: DataFrame) -> DataFrame:
    """The elements of documents, objects or not; a blank document has none."""
    text = F.col(VALUE)
    bracketed = F.concat(F.lit("["), text, F.lit(f",{_END}]"))
    needed = json_marks.are_needed(bracketed, texts=True)
    document = F.get(F.coalesce(_WHOLE_MARKED, _WHOLE), F.lit(0))
    array = F.from_json(document, "array<string>", strict.STRICT_JSON)
    of_array = F.transform(
        array, lambda item: _element(item, F.coalesce(plain(item), F.lit("null")), whole=False)
    )
    entries = (
        F.when(~_is_valid(), F.array(_element(F.lit(None).cast("string"), text, whole=True)))
        .when(F.startswith(document, F.lit("[")), of_array)
        .otherwise(F.array(_element(document, text, whole=True)))
    )
    return (
        documents.where(F.trim(text, F.lit(" \t\r\n\ufeff")) != "")
        .withColumn(_WHOLE, F.from_json(bracketed, "array<string>", strict.STRICT_JSON))
        .withColumn(
            _WHOLE_MARKED,
            F.when(
                needed & _is_valid(),
                F.from_json(json_marks.marked(bracketed), "array<string>", strict.STRICT_JSON),
            ),
        )
        .select(F.explode(entries).alias("entry"), *FILE_COLUMNS)
        .select("entry.*", *FILE_COLUMNS)
    )


def _element(json: Column, raw: Column, *, whole: bool) -> Column:
    return F.struct(json.alias(_JSON), raw.alias(VALUE), F.lit(whole).alias(_IS_DOCUMENT))


def _is_valid() -> Column:
    """Whether the text of a file is exactly one JSON value."""
    last = F.get(_WHOLE, F.lit(1))
    return F.coalesce((F.size(_WHOLE) == _DOCUMENT_AND_END) & (last == _END), F.lit(False))


def _reason() -> Column:
    is_document = F.col(_IS_DOCUMENT)
    return (
        json_lines.no_text()
        .when(json_lines.first().isNotNull(), REPEATED)
        .when(~is_document, "an element of the array is not an object")
        .when(F.expr("try_parse_json(value)").isNotNull(), "not an object or an array, or several")
        .otherwise("not valid JSON")
    )
