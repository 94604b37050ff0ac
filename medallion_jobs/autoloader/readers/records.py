"""The result of every format's reader: records, good or bad, and rescued data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from pyspark.sql import functions as F

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.lake.columns import FILE_MODIFIED, FILE_SIZE, INPUT_FILE, RESCUED

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

# Columns about the file that the frame of every format has, and Spark's names for them.
FILE_COLUMNS = {
    INPUT_FILE: "file_path",
    FILE_SIZE: "file_size",
    FILE_MODIFIED: "file_modification_time",
}


@dataclass(frozen=True)
class Input:
    """Files of one format, and what they are read with.

    Attributes:
        options: those of the source.
        typed: whether types are inferred; then a column without a value is not there yet.
    """

    spark: SparkSession
    files: Sequence[FileEntry]
    options: Mapping[str, str]
    typed: bool = False


@dataclass(frozen=True)
class Records:
    """The records of some files, in one frame that is read in one pass.

    Attributes:
        frame: one row per record, with `_input_file`, `_file_size`, `_file_modified` and
            whatever the columns below are computed from.
        good: whether a row's record could be parsed; never null.
        reason: why a bad record could not be parsed.
        raw: the record's original text, for quarantine; null if a format has none.
        raw_bytes: the record's bytes as the file has them; null where the reader does not know
            them, because it sees a decoded text only.
        columns: the wanted columns of a good record in their order, then `_rescued_data`.
        has_new: whether a good record has a column, or a field inside one, that is not among
            the wanted ones but could be; True or False if that is known from the files'
            headers, without reading a record.
    """

    frame: DataFrame
    good: Column
    reason: Column
    raw: Column
    raw_bytes: Column
    columns: Sequence[Column]
    has_new: Column | bool

    @classmethod
    def never_bad(
        cls, frame: DataFrame, columns: Sequence[Column], *, has_new: bool = False
    ) -> Records:
        """The records of a format that has no bad ones."""
        text, binary = F.lit(None).cast("string"), F.lit(None).cast("binary")
        return cls(frame, F.lit(True), text, text, binary, columns, has_new)


class UnreadableError(Exception):
    """Files whose headers could not be read.

    Attributes:
        files: each with the reason.
    """

    def __init__(self, files: Mapping[FileEntry, str]) -> None:
        super().__init__(", ".join(f"{file.path}: {why}" for file, why in files.items()))
        self.files = files


class FormatReader(Protocol):
    """Reads the records of files of one format, and infers their columns."""

    def records(self, given: Input, columns: StructType) -> Records:
        """The records of files, read as these columns. Starts no Spark job.

        Raises:
            UnreadableError: some headers cannot be read; the other files can.
        """

    def infer(self, given: Input, *, typed: bool) -> StructType:
        """All columns of the files.

        Args:
            typed: infer types if the format has none (json, csv); otherwise all are text.

        Raises:
            UnreadableError: some headers cannot be read.
        """


class FixedColumns(FormatReader):
    """A format whose files all have the same columns.

    Attributes:
        has: these columns.
    """

    has: ClassVar[StructType]

    def infer(self, given: Input, *, typed: bool) -> StructType:  # noqa: ARG002
        """The columns that all files have."""
        return self.has


def nothing_rescued() -> Column:
    """`_rescued_data` of a format whose values all fit."""
    return F.lit(None).cast("string").alias(RESCUED)
