"""Columns from files with typed columns: parquet and avro.

A column takes those values of a file's column of the same name that it can hold exactly. Any
other value is null in it, and is rescued. Of structs, arrays and maps, the parts that fit are
taken; if any part does not fit, the whole value is rescued as well.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import file_types, frames
from medallion_jobs.autoloader.readers.conversions import NOTHING_FITS, Conversion
from medallion_jobs.autoloader.readers.nested_conversions import converted
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS, FormatReader, Input, Records
from medallion_jobs.autoloader.readers.rescued_values import shown
from medallion_jobs.lake.columns import INPUT_FILE, is_free
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values import type_walk


@dataclass(frozen=True)
class FileSchema:
    """What a file's header says of its columns.

    Attributes:
        columns: with types of the format that Spark does not have.
        options: for Spark's reader.
    """

    columns: StructType
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The same for files that can be read together."""
        return self.columns.json() + repr(self.options)


class TypedFiles(FormatReader):
    """A format whose files have schemas of their own; its records are never bad."""

    @abstractmethod
    def reader(self, spark: SparkSession, columns: StructType) -> DataFrameReader:
        """Spark's reader of the format, for files with these columns."""

    @abstractmethod
    def schemas(self, given: Input) -> dict[FileEntry, FileSchema]:
        """The schema of each file that is not empty.

        Raises:
            UnreadableError: some headers cannot be read.
        """

    def records(self, given: Input, columns: StructType) -> Records:
        """The records of files; those with the same schema are read together."""
        groups: dict[str, tuple[FileSchema, list[FileEntry]]] = {}
        for file, schema in self.schemas(given).items():
            groups.setdefault(schema.key, (schema, []))[1].append(file)
        parts = []
        for schema, some in groups.values():
            reader = self.reader(given.spark, schema.columns).options(**schema.options)
            rows = reader.schema(file_types.as_read(schema.columns)).load(frames.paths(some))
            parts.append(_selected(rows, schema.columns, columns))
        return Records.never_bad(
            frames.united([rows for rows, _ in parts], given.spark, columns),
            frames.wanted(columns),
            has_new=any(is_new for _, is_new in parts),
        )

    def infer(self, given: Input, *, typed: bool) -> StructType:  # noqa: ARG002 (the files have types)
        """The columns of all files, in the order in which they first appear."""
        return file_types.merged([schema.columns for schema in self.schemas(given).values()])


def _selected(frame: DataFrame, has: StructType, columns: StructType) -> tuple[DataFrame, bool]:
    """The wanted columns and `_rescued_data`, and whether the files have new columns."""
    own = {field.name: field.dataType for field in has}
    taken = {
        field.name: converted(own[field.name], field.dataType)
        for field in columns
        if field.name in own
    }
    misfits = {name: taken.get(name, NOTHING_FITS).misfit for name in own}
    rescued = {
        name: F.when(misfit(col(name)), shown(own[name])(col(name)))
        for name, misfit in misfits.items()
        if misfit
    }
    values = [
        _value(taken.get(field.name, NOTHING_FITS), field).alias(frames.at(n))
        for n, field in enumerate(columns)
    ]
    names = {name.lower() for name in columns.names}
    is_new = any(column.is_new for column in taken.values()) or any(
        is_free(name) and name.lower() not in names and file_types.has_column(kind)
        for name, kind in own.items()
    )
    about = frames.file_columns(frame)
    path = about[list(FILE_COLUMNS).index(INPUT_FILE)]
    return frame.select(*values, frames.rescued(rescued, path), *about), is_new


def _value(conversion: Conversion, field: StructField) -> Column:
    column, kind = col(field.name), field.dataType
    value = conversion.or_null(kind)(column)
    if conversion.misfit is None or not (conversion.as_it_is and type_walk.is_nested(kind)):
        return value
    # Most values are taken as they are: taking each apart would cost more than a check.
    return F.when(conversion.misfit(column), value).otherwise(column)
