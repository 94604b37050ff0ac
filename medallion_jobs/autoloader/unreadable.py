"""Finding the files that cannot be read, when a batch of many fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from medallion_jobs.autoloader.discovery import Found, to_path
from medallion_jobs.failures import root_cause

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# PySpark translates the failures that it knows and lets the others through as they are.
SPARK_FAILURES = (PySparkException, Py4JJavaError)


def lines(spark: SparkSession, files: Sequence[Found]) -> DataFrame:
    """The lines of text files: `value`, and `_input_file`, the file's URI.

    Spark takes `?`, `*`, `[` or `{` in a file's name for a pattern, and for each such name
    reads every other file of the batch once more (SPARK-58518). Without `__globPaths__` it
    resolves no pattern; with `recursiveFileLookup` it takes each file of its listing once.
    """
    reader = spark.read.options(__globPaths__="false", recursiveFileLookup="true")
    text = reader.text([to_path(file.path) for file in files])
    return text.selectExpr("value", "_metadata.file_path AS _input_file")


# Spark says so of any trouble under a read; these causes are the machine's, not the file's,
# and a file that is put aside for one of them would be lost for no fault of its own.
_OF_A_FILE = ("FAILED_READ_FILE", "PATH_NOT_FOUND")
_OF_THE_MACHINE = (
    "Interrupt",
    "Too many open files",
    "Input/output error",
    "Stale file handle",
    "OutOfMemory",
    "No space left",
)


def find(spark: SparkSession, files: Sequence[Found]) -> dict[Found, str]:
    """The files among `files` that cannot be read, each with the reason, by bisection."""
    try:
        lines(spark, files).write.format("noop").mode("overwrite").save()
    except SPARK_FAILURES as failure:
        if len(files) == 1 and _is_of_the_file(failure):
            return {files[0]: root_cause(failure)}
        if len(files) == 1:
            raise
        middle = len(files) // 2
        return {**find(spark, files[:middle]), **find(spark, files[middle:])}
    return {}


def _is_of_the_file(failure: Exception) -> bool:
    text = str(failure)
    return any(sign in text for sign in _OF_A_FILE) and not any(
        sign in text for sign in _OF_THE_MACHINE
    )
