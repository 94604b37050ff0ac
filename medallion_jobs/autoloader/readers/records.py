"""What every format makes of files: records, each good or bad, and what did not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.lake.columns import FILE_MODIFIED, FILE_SIZE, INPUT_FILE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

# Columns about the file that every format's frame has, beside its own.
FILE_COLUMNS = {
    INPUT_FILE: "_metadata.file_path",
    FILE_SIZE: "_metadata.file_size",
    FILE_MODIFIED: "_metadata.file_modification_time",
}
# The key under which `_rescued_data` names the file, as Auto Loader has it.
RESCUED_FILE = "_file_path"


@dataclass(frozen=True)
class Records:
    """The records of some files, in one frame that is read in one pass.

    Attributes:
        frame: one row a record, with `_input_file`, `_file_size`, `_file_modified` and
            whatever the columns below are computed from.
        good: whether a row's record could be parsed; never null.
        reason: why it could not, in words.
        raw: the record's text as it was, for quarantine; null where a format has none.
        columns: of a good record, the wanted columns in their order, then `_rescued_data`.
        has_new: whether a good record brings a column, or a field inside one, that is not
            among the wanted ones but could be; True or False where the files' headers tell
            without reading a record.
    """

    frame: DataFrame
    good: Column
    reason: Column
    raw: Column
    columns: Sequence[Column]
    has_new: Column | bool


class UnreadableError(Exception):
    """Files whose headers could not be read.

    Attributes:
        files: each with the reason, in words.
    """

    def __init__(self, files: Mapping[FileEntry, str]) -> None:
        super().__init__(", ".join(f"{file.path}: {why}" for file, why in files.items()))
        self.files = files


class FormatReader(Protocol):
    """How files of one format become records, and what columns they have."""

    def records(
        self,
        spark: SparkSession,
        files: Sequence[FileEntry],
        columns: StructType,
        options: Mapping[str, str],
    ) -> Records:
        """The records of files, read as these columns. Starts no Spark job.

        Raises:
            UnreadableError: headers that cannot be read; the other files are all right.
        """

    def infer(
        self,
        spark: SparkSession,
        files: Sequence[FileEntry],
        options: Mapping[str, str],
        *,
        typed: bool,
    ) -> StructType:
        """The columns that the files have together.

        Args:
            typed: infer types where the format has none (json, csv); otherwise all text.

        Raises:
            UnreadableError: headers that cannot be read.
        """
