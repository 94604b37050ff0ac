"""One pass over records: count them, stop at what no column bears, hand over the good ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import Observation
from pyspark.sql import functions as F

from medallion_jobs.autoloader.file_entry import FileEntry, FileKey
from medallion_jobs.autoloader.loading import bronze_rows
from medallion_jobs.autoloader.readers.records import Records
from medallion_jobs.autoloader.readers.unreadable import SPARK_FAILURES
from medallion_jobs.lake.columns import INPUT_FILE, RESCUED

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# With a space, which no column of a table has in its name.
_GOOD = "is good"
_STOP = "MEDALLION_NO_COLUMN_FOR_IT"


class NewColumnsError(Exception):
    """Records bring values for which there is no column, or no column of their type."""


@dataclass(frozen=True)
class Read:
    """Records that a batch read, and how many of them are bad."""

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

    To look for new columns before each write would be to read every batch twice. So the
    write itself stops at the first record that brings one; what it had written is not
    visible, and the batch that brings a column is the only one that pays.

    Returns:
        What was read; None where the rows were taken before and nothing was read.

    Raises:
        NewColumnsError: if asked to stop at them.
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


def count(records: Records, files: Sequence[FileEntry]) -> dict[FileKey, int]:
    """How many records each file has now, good and bad."""
    counted = records.frame.groupBy(INPUT_FILE, bronze_rows.version_of(files)).count().collect()
    return {(file, version): number for file, version, number in counted}


def _unless(found: Column) -> Column:
    return F.when(found, F.raise_error(F.lit(_STOP)).cast("boolean")).otherwise(F.lit(True))
