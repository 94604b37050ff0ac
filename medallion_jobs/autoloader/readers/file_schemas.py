"""What the driver reads of files before Spark does: heads and footers."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import TypeVar

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS, UnreadableError
from medallion_jobs.engine.failures import root_cause

# The machine's faults: a file that is put aside for one of them is lost for no fault of its own.
_OF_THE_MACHINE = {
    errno.EINTR: "Interrupt",
    errno.EIO: "Input/output error",
    errno.EMFILE: "Too many open files",
    errno.ENFILE: "Too many open files",
    errno.ENOMEM: "OutOfMemory",
    errno.ENOSPC: "No space left",
    errno.ESTALE: "Stale file handle",
}
Told = TypeVar("Told")


def is_of_the_machine(failure: Exception) -> bool:
    """Whether a failure to read is the machine's fault, by what it says."""
    return any(sign in str(failure) for sign in _OF_THE_MACHINE.values())


class BrokenHeadError(Exception):
    """A head that is not of the format; the text says why."""


def of_each(files: Sequence[FileEntry], read: Callable[[FileEntry], Told]) -> dict[FileEntry, Told]:
    """What `read` gives for each file that is not empty.

    Args:
        read: raises BrokenHeadError or OSError where a file's head cannot be read.

    Raises:
        UnreadableError: names every file whose head cannot be read.
        OSError: the machine's fault, not a file's.
    """
    told, broken = {}, {}
    for file in files:
        if file.size == 0:
            continue
        try:
            told[file] = read(file)
        except BrokenHeadError as error:
            broken[file] = str(error)
        except OSError as error:
            if error.errno in _OF_THE_MACHINE:
                raise
            broken[file] = " ".join(str(error).split())
    if broken:
        raise UnreadableError(broken)
    return told


def as_broken(failure: Exception) -> BrokenHeadError:
    """What Spark says of a head that it cannot read.

    Raises:
        Exception: the failure as it is where it is the machine's, not the file's.
    """
    if is_of_the_machine(failure):
        raise failure
    return BrokenHeadError(root_cause(failure))


def reader(spark: SparkSession) -> DataFrameReader:
    """A reader that takes each path to the letter, once.

    Spark takes `?`, `*`, `[` or `{` in a file's name for a pattern, and for each such name
    reads every other file of the batch once more (SPARK-58518). Without `__globPaths__` it
    resolves no pattern; with `recursiveFileLookup` it takes each file of its listing once.
    """
    return spark.read.options(__globPaths__="false", recursiveFileLookup="true")


def file_columns(frame: DataFrame) -> list[Column]:
    """The columns about the file, also where the files have a column `_metadata` themselves."""
    metadata = frame.metadataColumn("_metadata")
    return [
        metadata[expression.removeprefix("_metadata.")].alias(name)
        for name, expression in FILE_COLUMNS.items()
    ]


def united(frames: Sequence[DataFrame]) -> DataFrame:
    """The rows of all frames. In halves: one by one, Spark would analyse each again for each."""
    if len(frames) == 1:
        return frames[0]
    middle = len(frames) // 2
    return united(frames[:middle]).union(united(frames[middle:]))
