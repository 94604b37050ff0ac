"""Reads csv files strictly, with columns by the names in each file's header.

Spark uses one header, by position, for all files of a read, and fills rows that are too short
with nulls. Here the driver reads each file's header, files with the same header are read
together, and a row with more or fewer fields than its header is bad.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType, StructField, StructType

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import csv_numbers, csv_types, frames
from medallion_jobs.autoloader.readers.csv_dialect import Dialect
from medallion_jobs.autoloader.readers.csv_headers import Header, Headers
from medallion_jobs.autoloader.readers.csv_names import Naming
from medallion_jobs.autoloader.readers.csv_rows import RAW, RAW_BYTES, REASON, Group
from medallion_jobs.autoloader.readers.frames import at
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS, FormatReader, Input, Records
from medallion_jobs.lake.columns import INPUT_FILE
from medallion_jobs.lake.values import strict


class CsvFiles(FormatReader):
    """Reads csv files."""

    def records(self, given: Input, columns: StructType) -> Records:
        """The records of files; see FormatReader."""
        groups = _by_header(given, columns.names)
        parts = [
            _typed(Group(given.spark, header, some).rows(), header, columns, given.options)
            for header, some in groups.items()
        ]
        has = {name.lower() for name in columns.names}
        return Records(
            frame=frames.united(parts, given.spark, columns, RAW, RAW_BYTES, REASON),
            good=F.col(REASON).isNull(),
            reason=F.col(REASON),
            raw=F.col(RAW),
            # Without files, all columns of the frame are texts.
            raw_bytes=F.col(RAW_BYTES).cast("binary"),
            columns=frames.wanted(columns),
            has_new=any(name.lower() not in has for header in groups for name in header.namable),
        )

    def infer(self, given: Input, *, typed: bool) -> StructType:
        """The columns of all headers, in the order in which they first appear."""
        groups = _by_header(given, ())
        names: dict[str, str] = {}
        for name in (name for header in groups for name in header.namable):
            # A table cannot have two columns that differ only by case: the first one wins.
            names.setdefault(name.lower(), name)
        kinds: Mapping[str, DataType] = {}
        if typed and groups:
            texts = [
                csv_types.texts_of(
                    Group(given.spark, header, some).rows().where(F.col(REASON).isNull()),
                    header.names,
                )
                for header, some in groups.items()
            ]
            all_texts = frames.united(texts, given.spark, columns=StructType())
            kinds = csv_types.inferred(all_texts, given.options)
        return StructType(
            [StructField(name, kinds.get(name, StringType())) for name in names.values()]
        )


def _by_header(given: Input, known: Collection[str]) -> dict[Header, list[FileEntry]]:
    """Files by header.

    Args:
        known: the wanted columns; empty if they are not known yet.
    """
    dialect = Dialect.of(given.options)
    fixed = tuple(known) if known and not dialect.header else None
    headers = Headers(given.spark, dialect, Naming.of(given.options), fixed, known)
    return headers.of(given.files)


def _typed(
    rows: DataFrame, header: Header, columns: StructType, options: Mapping[str, str]
) -> DataFrame:
    """The wanted columns, converted from text, and what does not fit as JSON."""
    texts = {name: F.col(at(n)) for n, name in enumerate(header.names)}
    wanted: list[Column] = []
    rescued: dict[str, Column] = {n: t for n, t in texts.items() if n not in columns.names}
    for field in columns:
        text = texts.get(field.name, F.lit(None).cast("string"))
        read = csv_numbers.of_type(text, field.dataType, options)
        wanted.append(strict.value(read, field.dataType, options))
        if field.name in texts and not isinstance(field.dataType, StringType):
            is_form = read.isNotNull() | text.isNull()
            fits = is_form & strict.fits(read, field.dataType, options)
            rescued[field.name] = F.when(~(fits | (F.trim(text) == "")), text)
    return rows.select(
        *(value.alias(at(n)) for n, value in enumerate(wanted)),
        frames.rescued(rescued, F.col(INPUT_FILE)),
        RAW,
        RAW_BYTES,
        REASON,
        *FILE_COLUMNS,
    )
