"""Helpers to read headers and footers of files on the driver, before Spark reads the files."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import TypeVar

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS, UnreadableError
from medallion_jobs.engine.failures import root_cause

# Faults of the machine, not of a file: a file must not be quarantined for one of them.
_OF_THE_MACHINE = {
    errno.EINTR: "Interrupt",
    errno.EIO: "Input/output error",
    errno.EMFILE: "Too many open files",
    errno.ENFILE: "Too many open files",
    errno.ENOMEM: "OutOfMemory",
    errno.ENOSPC: "No space left",
    errno.ESTALE: "Stale file handle",
}
Head = TypeVar("Head")


def is_of_the_machine(failure: Exception) -> bool:
    """Whether a failed read is the machine's fault, by the text of the failure."""
    return any(sign in str(failure) for sign in _OF_THE_MACHINE.values())


class BrokenHeadError(Exception):
    """A file's header or footer is not of the format; the text says why."""


def of_each(files: Sequence[FileEntry], read: Callable[[FileEntry], Head]) -> dict[FileEntry, Head]:
    """The result of `read` for each file that is not empty.

    Args:
        read: raises BrokenHeadError or OSError if a file's header cannot be read.

    Raises:
        UnreadableError: names every file whose header cannot be read.
        OSError: the machine's fault, not a file's.
    """
    results, broken = {}, {}
    for file in files:
        if file.size == 0:
            continue
        try:
            results[file] = read(file)
        except BrokenHeadError as error:
            broken[file] = str(error)
        except OSError as error:
            if error.errno in _OF_THE_MACHINE:
                raise
            broken[file] = " ".join(str(error).split())
    if broken:
        raise UnreadableError(broken)
    return results


def as_broken(failure: Exception) -> BrokenHeadError:
    """Turns Spark's failure to read a header into a BrokenHeadError.

    Raises:
        Exception: the failure itself, if the machine is at fault and not the file.
    """
    if is_of_the_machine(failure):
        raise failure
    return BrokenHeadError(root_cause(failure))


def reader(spark: SparkSession) -> DataFrameReader:
    """A reader that takes each path literally, and once.

    Spark treats a file's name with `?`, `*`, `[` or `{` as a pattern, and for each such name
    reads every other file of the batch once more (SPARK-58518). With `__globPaths__` false it
    expands no pattern; with `recursiveFileLookup` it reads each file of its listing once.
    """
    return spark.read.options(__globPaths__="false", recursiveFileLookup="true")


def file_columns(frame: DataFrame) -> list[Column]:
    """The columns about the file, also if the files themselves have a column `_metadata`."""
    metadata = frame.metadataColumn("_metadata")
    return [
        metadata[expression.removeprefix("_metadata.")].alias(name)
        for name, expression in FILE_COLUMNS.items()
    ]


def united(frames: Sequence[DataFrame]) -> DataFrame:
    """The union of all frames, built in halves: in a chain, Spark would repeat its analysis."""
    if len(frames) == 1:
        return frames[0]
    middle = len(frames) // 2
    return united(frames[:middle]).union(united(frames[middle:]))
