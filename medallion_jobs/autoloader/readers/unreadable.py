"""Finds the files that cannot be read, when a batch of many fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers.file_schemas import SPARK_FAILURES, is_of_the_machine, reason
from medallion_jobs.autoloader.readers.records import UnreadableError

# Spark reports these for any failed read, also if the machine is at fault.
_OF_A_FILE = ("FAILED_READ_FILE", "PATH_NOT_FOUND", "CANNOT_READ_FILE_FOOTER")

Read = Callable[[Sequence[FileEntry]], None]
Result = TypeVar("Result")


def find(read: Read, files: Sequence[FileEntry]) -> dict[FileEntry, str]:
    """The files among `files` that cannot be read, each with the reason, by bisection.

    Args:
        read: reads files completely, and fails if one of them cannot be read.
    """
    try:
        read(files)
    except UnreadableError as error:
        return {**error.files, **find(read, [file for file in files if file not in error.files])}
    except SPARK_FAILURES as failure:
        if len(files) == 1 and _is_of_the_file(failure):
            return {files[0]: reason(failure)}
        if len(files) == 1:
            raise
        middle = len(files) // 2
        return {**find(read, files[:middle]), **find(read, files[middle:])}
    return {}


def skipping_unreadable(
    read: Read, files: Sequence[FileEntry], work: Callable[[Sequence[FileEntry]], Result]
) -> Result | None:
    """The result of `work` for those files that can be read; None if there are none."""
    while files:
        try:
            return work(files)
        except UnreadableError as error:
            broken = dict(error.files)
        except SPARK_FAILURES:
            broken = find(read, files)
            if not broken:
                raise
        files = [file for file in files if file not in broken]
    return None


def _is_of_the_file(failure: Exception) -> bool:
    text = str(failure)
    return any(sign in text for sign in _OF_A_FILE) and not is_of_the_machine(failure)
