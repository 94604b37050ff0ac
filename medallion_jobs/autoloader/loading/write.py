"""One pass over records: counts them, stops at new columns, hands over the good ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import Observation
from pyspark.sql import functions as F

from medallion_jobs.autoloader.file_entry import FileEntry, FileKey
from medallion_jobs.autoloader.loading import bronze_rows
from medallion_jobs.autoloader.readers.file_schemas import SPARK_FAILURES
from medallion_jobs.autoloader.readers.records import Records
from medallion_jobs.lake.columns import INPUT_FILE, RESCUED

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Has a space, which no column of a table has in its name.
_GOOD = "is good"
_STOP = "MEDALLION_NO_COLUMN_FOR_IT"


class NewColumnsError(Exception):
    """Records have values without a column, or without a column of their type."""


@dataclass(frozen=True)
class Read:
    """How many records a batch has read, or a file has, and how many of them are bad."""

    all: int
    bad: int


def good(
    records: Records,
    selected: Sequence[Column],
    hand_over: Callable[[DataFrame], bool],
    *,
    stops_at_new: bool,
    stops_at_misfit: bool,
) -> Read | None:
    """Hands over the good records, as the selected columns.

    Looking for new columns before each write would read every batch twice. So the write itself
    stops at the first record that has one. What it has written by then is not visible, and
    only a batch with a new column is read again.

    Returns:
        What was read; None if the rows were already written and nothing was read.

    Raises:
        NewColumnsError: a record has new columns or misfits, and the write is to stop at them.
    """
    if stops_at_new and records.has_new is True:
        raise NewColumnsError
    observed = Observation()
    rows = (
        records.frame.withColumn(_GOOD, records.good)
        # This also keeps Spark from parsing each record twice, once for the filter and once
        # for the columns.
        .observe(
            observed,
            F.count(F.lit(1)).alias("records"),
            F.count_if(~F.col(_GOOD)).alias("bad"),
        )
        .where(F.col(_GOOD))
    )
    if stops_at_new and not isinstance(records.has_new, bool):
        rows = rows.where(_unless(records.has_new))
    rows = rows.select(*selected)
    if stops_at_misfit:
        rows = rows.where(_unless(F.col(RESCUED).isNotNull()))
    try:
        taken = hand_over(rows)
    except SPARK_FAILURES as failure:
        if _STOP in str(failure):
            raise NewColumnsError from failure
        raise
    return Read(observed.get["records"], observed.get["bad"]) if taken else None


def count(records: Records, files: Sequence[FileEntry]) -> dict[FileKey, Read]:
    """The number of records that each file has now."""
    by_file = records.frame.groupBy(INPUT_FILE, bronze_rows.version_of(files))
    counted = by_file.agg(F.count(F.lit(1)), F.count_if(~records.good)).collect()
    return {(file, version): Read(number, bad) for file, version, number, bad in counted}


def _unless(found: Column) -> Column:
    return F.when(found, F.raise_error(F.lit(_STOP)).cast("boolean")).otherwise(F.lit(True))
