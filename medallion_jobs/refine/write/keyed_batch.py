"""What every keyed way of writing needs: the batch, computed once, and its rows in the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DateType,
    DecimalType,
    IntegralType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.errors import DataError
from medallion_jobs.lake import tables
from medallion_jobs.lake.columns import FILE_MODIFIED
from medallion_jobs.lake.tables.observing import observing
from medallion_jobs.lake.tables.sql import col, column, text
from medallion_jobs.lake.values.canonical import canonical
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Hidden columns. Of the rows that share what the batch is ranked by, the first is 1; the same
# key and order as the row before it.
PLACE, AGAIN = "place in batch", "same as before"
_BOUNDED = (IntegralType, DecimalType, DateType, TimestampType, TimestampNTZType, StringType)


@dataclass(frozen=True)
class WriteResult:
    """What became of a batch's good rows.

    Attributes:
        written: whether this call wrote them; else an earlier run had.
        rows_out: rows that were added to the table.
        updated, deleted: rows of the table that were changed, and taken away.
        repeated: rows dropped because the batch or the table has the same.
        ignored: rows without effect because the batch or the table has newer ones.
    """

    written: bool
    rows_out: int
    updated: int = 0
    deleted: int = 0
    repeated: int = 0
    ignored: int = 0


@dataclass(frozen=True)
class Ranked:
    """A batch, computed once and kept, with its rows ranked within their keys.

    Attributes:
        frame: the rows, with `PLACE` and `AGAIN`.
        count, again: how many there are, and how many of them are `AGAIN`.
        has_null: of each key column, whether a row has none.
        range: SQL of the rows of `target` that can have a key of the batch; "true" for all.
    """

    frame: DataFrame
    keys: tuple[str, ...]
    count: int
    again: int
    has_null: dict[str, bool]
    range: str


def there(column: str) -> str:
    """What a column of the table is called beside the batch's own."""
    return f"{column} there"


def stable_order(rows: DataFrame, columns: Sequence[str]) -> list[Column]:
    """An order that depends on nothing but the rows' values: by these columns, one by one."""
    return [canonical(col(c), rows.schema[c].dataType).asc_nulls_last() for c in columns]


def by_file(rows: DataFrame) -> list[Column]:
    """The order of changes that came at the same moment: that of the newest file first.

    For a source without a time of its own, whose changes are ordered by when they were loaded:
    those of one load have the same. It needs `_file_modified` among `add_columns` of bronze.
    """
    return [col(FILE_MODIFIED).desc_nulls_last()] if FILE_MODIFIED in rows.columns else []


@contextmanager
def ranked(
    rows: DataFrame,
    keys: Sequence[str],
    order: Sequence[Column],
    *,
    by: Sequence[Column] = (),
    same: str | None = None,
) -> Iterator[Ranked]:
    """The batch, computed here once and kept until the block ends.

    Args:
        keys: the columns of the key.
        order: the order within what the batch is ranked by, the preferred row first.
        by: what the batch is ranked by besides the keys.
        same: the column by which two rows of a key are the same; None, all are.
    """
    window = Window.partitionBy(*(col(k) for k in keys), *by).orderBy(*order)
    again = F.row_number().over(window) > 1
    if same:
        again = again & F.lag(col(same)).over(window).eqNullSafe(col(same))
    frame = rows.withColumns({PLACE: F.row_number().over(window), AGAIN: again})
    with observing(rows.sparkSession), kept(frame) as computed:
        facts = computed.agg(
            F.count(F.lit(1)).alias("rows"),
            F.count_if(col(AGAIN)).alias("again"),
            *_bounds(rows, keys),
        ).first()
        assert facts is not None  # an aggregate without groups has one row
        ranges = (
            _within(k, rows.schema[k].dataType, facts.asDict())
            for k in keys
            if isinstance(rows.schema[k].dataType, _BOUNDED)
        )
        yield Ranked(
            frame=computed,
            keys=tuple(keys),
            count=facts["rows"],
            again=facts["again"],
            has_null={k: bool(facts[f"nulls {k}"]) for k in keys},
            range=" AND ".join(ranges) or "true",
        )


@contextmanager
def kept(frame: DataFrame) -> Iterator[DataFrame]:
    """A frame that is computed at most once while the block runs."""
    frame = frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield frame
    finally:
        frame.unpersist()


def in_table(batch: Ranked, path: Location, columns: Sequence[str], where: Column) -> DataFrame:
    """These columns of the table's rows that have a key of the batch, renamed by `there`.

    Only the files that can have such a key are read, and only these columns.
    """
    stored = batch.frame.sparkSession.read.format("delta").load(str(path))
    stored = stored.alias(tables.TARGET).where(batch.range).where(where)
    table = tables.snapshot(path)
    if table is None or table.files == 0:
        # What Spark knows to be empty, it joins at no cost.
        stored = stored.where(F.lit(False))
    stored = stored.select(*(col(c).alias(there(c)) for c in columns))
    wanted = batch.frame.where(col(PLACE) == 1).select(*(col(k) for k in batch.keys))
    return stored.join(wanted, same_key(batch), "left_semi")


def same_key(batch: Ranked) -> Column:
    """The batch's key beside the table's, nulls equal."""
    pairs = (
        # Where the batch has no null the plain comparison says the same, and is faster.
        col(k).eqNullSafe(col(there(k))) if batch.has_null[k] else col(k) == col(there(k))
        for k in batch.keys
    )
    return reduce(lambda a, b: a & b, pairs)


def refuse_null(batch: Ranked, sequence: str, path: Location) -> None:
    """Raises DataError when a row has no sequence: nobody knows which change is the newer."""
    wrong = batch.frame.where(col(sequence).isNull())
    if found := wrong.select(*(col(k) for k in batch.keys)).limit(3).collect():
        samples = "; ".join(
            ", ".join(f"{k}={value}" for k, value in row.asDict().items()) for row in found
        )
        raise DataError(
            f"rows for {path.parent.name}.{path.name} have no {sequence}, such as {samples}",
            untouched="nothing of this batch was written",
            next_step=f"add an expectation `not_null: {sequence}` that quarantines such rows",
        )


def _bounds(rows: DataFrame, keys: Sequence[str]) -> Iterator[Column]:
    for k in keys:
        yield F.count_if(col(k).isNull()).alias(f"nulls {k}")
        if isinstance(rows.schema[k].dataType, _BOUNDED):
            yield F.min(col(k)).cast("string").alias(f"lowest {k}")
            yield F.max(col(k)).cast("string").alias(f"highest {k}")


def _within(key: str, kind: DataType, facts: dict[str, object]) -> str:
    low, high = facts[f"lowest {key}"], facts[f"highest {key}"]
    value = f"{tables.TARGET}.{column(key)}"
    null = f"{value} IS NULL"
    if low is None:
        return null if facts[f"nulls {key}"] else "false"
    ends = (f"CAST({text(str(end))} AS {kind.simpleString()})" for end in (low, high))
    between = "{} BETWEEN {} AND {}".format(value, *ends)
    return f"({between} OR {null})" if facts[f"nulls {key}"] else f"({between})"
