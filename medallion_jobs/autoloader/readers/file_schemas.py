"""Helpers to read headers and footers of files on the driver, before Spark reads the files."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers.records import UnreadableError
from medallion_jobs.engine.failures import root_cause

# PySpark translates the failures that it knows and lets the others through as they are.
SPARK_FAILURES = (PySparkException, Py4JJavaError)
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
# Spark reads these only in Hadoop's own framing. Files from the lz4 tool look empty to it, those
# from the snappy tool too, or like a block that is too large for any memory.
_OTHER_FRAMING = (".snappy", ".lz4")
# Causes that name no more than a class of Java, by what they are.
_MEANINGS = {
    r"(?:ClassNotFoundException: |Class )\S*?(\w+)Codec\b": r"compressed by \1, which Spark cannot "
    "read here; write it with zstd, snappy or gzip",
    r"AvroTypeException: Found null, expecting (\S+)": r"one of its rows is null, and not a record "
    r"\1; write only records",
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
    return BrokenHeadError(reason(failure))


def reason(failure: BaseException) -> str:
    """Why a file cannot be read, in one line."""
    cause = root_cause(failure)
    for said, meaning in _MEANINGS.items():
        if found := re.search(said, cause):
            return found.expand(meaning)
    return cause


def framing_fault(file: FileEntry) -> str:
    """Why Spark does not read a file with this compression; empty if it does."""
    ending = next((end for end in _OTHER_FRAMING if file.path.lower().endswith(end)), "")
    use = "use .gz, .bz2 or .zst"
    return ending and f"Spark reads {ending} files only in Hadoop's framing; {use}"
