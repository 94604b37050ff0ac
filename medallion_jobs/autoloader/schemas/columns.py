"""The columns of a bronze table: declared or inferred, and how they grow with the files.

Declared and inferred columns are in the registry, version by version. A run starts with the
newest version; a batch whose files bring more columns announces the next one before its rows are
written, and records it once the table has the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.sql.types import (
    DataType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import reader_of, unreadable
from medallion_jobs.autoloader.readers.records import FormatReader, Input, Records
from medallion_jobs.autoloader.schemas import evolution, hints, widening
from medallion_jobs.autoloader.schemas.registry import Registry, Version, Why, changes
from medallion_jobs.config import FileSource
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.columns import (
    BATCH_ID,
    FILE_MODIFIED,
    FILE_SIZE,
    FILE_VERSION,
    INPUT_FILE,
    RESCUED,
)
from medallion_jobs.lake.tables import schema as schemas

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Formats whose values are texts, and so may fit several types.
_OF_TEXTS = ("json", "csv")
_FILE_COLUMN_TYPES: dict[str, DataType] = {
    FILE_SIZE: LongType(),
    FILE_MODIFIED: TimestampType(),
    BATCH_ID: LongType(),
}


@dataclass
class BronzeColumns:
    """The columns of one bronze table, as this run knows them.

    Attributes:
        generation: for the registry's records.
        has_versions: whether the table has a column with versions of files, by the policy of
            this run or of an earlier one.
    """

    spark: SparkSession
    source: FileSource
    registry: Registry
    generation: int = 1
    has_versions: bool = False
    # What the table is to get; not recorded yet.
    _announced: Version | None = None

    @cached_property
    def reader(self) -> FormatReader:
        return reader_of(self.source.format, self.source.options)

    @property
    def is_known(self) -> bool:
        """Whether the files' columns are recorded, declared or inferred."""
        return self._newest is not None

    @property
    def wants_sample(self) -> bool:
        """Whether `begin` needs files to infer the columns from."""
        return self.source.schema_ is None and not self.is_known

    @property
    def in_files(self) -> StructType:
        """The columns to read from inside the files."""
        return self.in_files_of(self._recorded)

    def in_files_of(self, schema: StructType) -> StructType:
        """The columns of a schema that are read from inside the files."""
        from_folders = set(self.source.partition_columns or ())
        return StructType([f for f in schema if f.name not in from_folders])

    @property
    def from_folders(self) -> StructType:
        """The columns that folders named `column=value` give."""
        declared = {f.name: f for f in self._recorded}
        return StructType(
            [
                declared.get(name, StructField(name, StringType()))
                for name in self.source.partition_columns or ()
            ]
        )

    @property
    def of_table(self) -> StructType:
        """All columns of the bronze table."""
        return self.table_of(self._recorded)

    def table_of(self, schema: StructType) -> StructType:
        """All columns of a bronze table whose files and folders have those of `schema`."""
        return of_table(self.source, schema, self.from_folders, has_versions=self.has_versions)

    def declared_or_recorded(self) -> StructType | None:
        """The columns as declared or recorded; None if they are to be inferred."""
        newest = self._newest
        return self.by_config(StructType.fromJson(dict(newest.schema)) if newest else None)

    def by_config(self, recorded: StructType | None) -> StructType | None:
        """The columns that a start takes, by those that are recorded; None: to be inferred."""
        if self.source.schema_:
            declared = self.hinted(schemas.parse_ddl(self.source.schema_))
            # A declared schema may have grown since; newly declared columns are added.
            if self.source.grows and recorded is not None:
                return evolution.merge(recorded, declared)
            return declared
        return None if recorded is None else self.hinted(recorded)

    def begin(self, sample: Sequence[FileEntry]) -> None:
        """Takes the columns as declared, or infers them from a sample of the files.

        Without files to infer from, none are known; the first batch then infers them. Once the
        table has the columns, the caller calls `record`.
        """
        known = self.declared_or_recorded()
        if known is not None:
            self._announce(known, "declared")
        elif sample:
            self._announce(self.of_sample(sample), "inferred", file=sample[0])

    def of_sample(self, sample: Sequence[FileEntry]) -> StructType:
        """The columns that files bring, with the types that the hints give; records nothing."""
        return self._with(self._inferred(sample))

    def grow(self, files: Sequence[FileEntry], batch: int) -> tuple[str, ...]:
        """Takes the columns that files bring, too; returns the changes.

        Once the table has the columns, the caller calls `record`.
        """
        now = self._recorded
        grown = self._grown(files)
        why: Why = "new columns"
        if self.source.widens:

            def widen(some: Sequence[FileEntry]) -> StructType:
                return self._widened(grown, some)

            wider = unreadable.skipping_unreadable(self.read_through, files, widen) or grown
            why = why if wider == grown else "wider types"
            grown = wider
        if grown == now:
            return ()
        return self._announce(grown, why, batch=batch, file=files[0])

    def record(self) -> None:
        """Records the columns that the table has got."""
        if self._announced is not None:
            self.registry.record(self._announced)
            self._announced = None

    def _widened(self, narrow: StructType, files: Sequence[FileEntry]) -> StructType:
        """The columns with wider types where values of files need them."""

        def read_as(columns: StructType) -> DataFrame:
            return self._rows(files, columns)

        if self.source.format in _OF_TEXTS:
            wide = widening.fitting(narrow, read_as, self.source.options)
        else:
            # File by file: together, a number and a text would be a text.
            wide = narrow
            for file in files:
                wide = evolution.widened(wide, self._inferred([file]), reserved=self._reserved)
        return widening.where_needed(narrow, wide, read_as)

    def new_in(self, files: Sequence[FileEntry]) -> list[str]:
        """The new columns that `grow` would add, as changes, without adding them."""
        return changes(self._recorded.jsonValue(), self._grown(files).jsonValue())

    def _grown(self, files: Sequence[FileEntry]) -> StructType:
        return self._with(self._inferred(files))

    def _with(self, seen: StructType) -> StructType:
        """The recorded columns, with those that files bring.

        Raises:
            UsageError: a hint contradicts the files that the first columns are inferred from.
        """
        if not self.is_known:
            # The files show what a column is, before a hint makes anything of it.
            return self._merged(StructType(), seen)
        try:
            return self._merged(self._recorded, seen)
        except UsageError:
            # One odd record must not stop the table: its value is rescued, and the column waits
            # for a file that has it as the hints say.
            fitting = [field for field in seen if self._fits_hints(field)]
            return self._merged(self._recorded, StructType(fitting))

    def _merged(self, known: StructType, seen: StructType) -> StructType:
        # Hints come last: a hint for a field of a struct needs the recorded struct, not the
        # string that is inferred from one odd record.
        return self.hinted(evolution.merge(known, seen, reserved=self._reserved))

    def _fits_hints(self, seen: StructField) -> bool:
        """Whether the hints can be applied to a column that files bring."""
        try:
            self._merged(self._recorded, StructType([seen]))
        except UsageError:
            return False
        return True

    @property
    def _reserved(self) -> set[str]:
        """Names that columns of files may not have."""
        of_table = {f.name for f in self.of_table} - {f.name for f in self._recorded}
        return of_table | set(self.source.partition_columns or ())

    @property
    def _recorded(self) -> StructType:
        newest = self._newest
        return StructType.fromJson(dict(newest.schema)) if newest else self.hinted(StructType())

    @property
    def _newest(self) -> Version | None:
        return self._announced or self.registry.latest()

    def _inferred(self, files: Sequence[FileEntry], *, typed: bool | None = None) -> StructType:
        """The columns of those files that can be read."""
        wants_types = self.source.infer_column_types if typed is None else typed

        def infer(some: Sequence[FileEntry]) -> StructType:
            return self.reader.infer(self._input(some), typed=wants_types)

        return unreadable.skipping_unreadable(self.read_through, files, infer) or StructType()

    def read_through(self, files: Sequence[FileEntry]) -> None:
        """Reads files completely, and writes nothing; fails if one of them cannot be read."""
        self._rows(files, self._recorded).write.format("noop").mode("overwrite").save()

    def records(self, files: Sequence[FileEntry], columns: StructType) -> Records:
        """The records of files as these columns."""
        return self.reader.records(self._input(files), columns)

    def _input(self, files: Sequence[FileEntry]) -> Input:
        source = self.source
        return Input(self.spark, files, source.options, typed=source.infer_column_types)

    def _rows(self, files: Sequence[FileEntry], schema: StructType) -> DataFrame:
        """The good records of files as columns of a schema."""
        records = self.records(files, self.in_files_of(schema))
        return records.frame.where(records.good).select(*records.columns)

    def hinted(self, schema: StructType) -> StructType:
        """A schema with the types that the hints give."""
        if not self.source.schema_hints:
            return schema
        return hints.apply(schema, hints.types(hints.split(self.source.schema_hints)))

    def _announce(
        self,
        schema: StructType,
        why: Why,
        *,
        batch: int | None = None,
        file: FileEntry | None = None,
    ) -> tuple[str, ...]:
        before = self.registry.latest()
        announced = self.registry.announce(
            schema.jsonValue(),
            why,
            batch=batch,
            generation=self.generation,
            file=file.path if file else None,
        )
        if announced == before:
            return ()
        self._announced = announced
        return tuple(announced.changes)


def of_table(
    source: FileSource, schema: StructType, from_folders: StructType, *, has_versions: bool
) -> StructType:
    """All columns of a bronze table whose files have those of `schema`."""
    own = {f.name for f in schema}
    return StructType(
        [
            *schema.fields,
            *(f for f in from_folders if f.name not in own),
            StructField(RESCUED, StringType()),
            StructField(INPUT_FILE, StringType(), nullable=False),
            StructField(source.load_time_column, TimestampType(), nullable=False),
            *(StructField(name, _FILE_COLUMN_TYPES[name]) for name in source.add_columns),
            *([StructField(FILE_VERSION, IntegerType())] * has_versions),
        ]
    )
