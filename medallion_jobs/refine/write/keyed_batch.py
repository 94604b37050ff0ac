"""What every keyed write needs: the batch, computed once, and its rows in the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

# Hidden columns: the rank of a row within its key, from 1; whether the row is a duplicate of
# the row before it.
PLACE, AGAIN = "place in batch", "same as before"
_BOUNDED = (IntegralType, DecimalType, DateType, TimestampType, TimestampNTZType, StringType)


@dataclass(frozen=True)
class WriteResult:
    """The result of writing a batch's good rows, in numbers of rows.

    Attributes:
        written: whether this call wrote them; false if an earlier run did.
        rows_out: inserted into the table.
        updated, deleted: changed in, and deleted from, the table.
        repeated: dropped because the batch or the table has the same row.
        ignored: dropped because the batch or the table has a newer row.
        notes: for the user.
    """

    written: bool
    rows_out: int
    updated: int = 0
    deleted: int = 0
    repeated: int = 0
    ignored: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ranked:
    """A batch, computed once and cached, with its rows ranked within their keys.

    Attributes:
        frame: the rows, with `PLACE` and `AGAIN`.
        count, again: how many rows there are, and how many of them are `AGAIN`.
        has_null: by key column, whether it is null in some row.
        range: SQL condition on the rows of `target` that can have a key of the batch.
    """

    frame: DataFrame
    keys: tuple[str, ...]
    count: int
    again: int
    has_null: dict[str, bool]
    range: str


def existing(column: str) -> str:
    """The hidden name of a column of the table, joined beside the batch's columns."""
    return f"existing {column}"


def stable_order(rows: DataFrame, columns: Sequence[str]) -> list[Column]:
    """An order by these columns that depends only on the rows' values."""
    return [canonical(col(c), rows.schema[c].dataType).asc_nulls_last() for c in columns]


def by_file(rows: DataFrame) -> list[Column]:
    """The order of changes with the same sequence: the newest file first.

    For a source without event times, whose changes are ordered by load time: all changes of
    one load have the same. It needs `_file_modified` in `add_columns` of bronze.
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
    """The batch, computed once and cached until the block ends.

    Args:
        keys: the columns of the key.
        order: the order within a key, the preferred row first.
        by: more expressions by which the rows are partitioned, besides the keys.
        same: rows of a key are duplicates if this column is equal; None: always.
    """
    window = Window.partitionBy(*(col(k) for k in keys), *by).orderBy(*order)
    again = F.row_number().over(window) > 1
    if same:
        again = again & F.lag(col(same)).over(window).eqNullSafe(col(same))
    frame = rows.withColumns({PLACE: F.row_number().over(window), AGAIN: again})
    with observing(rows.sparkSession), kept(frame) as computed:
        counts = computed.agg(
            F.count(F.lit(1)).alias("rows"),
            F.count_if(col(AGAIN)).alias("again"),
            *bounds(rows, keys),
        ).first()
        assert counts is not None  # an aggregate without groups has one row
        yield Ranked(
            frame=computed,
            keys=tuple(keys),
            count=counts["rows"],
            again=counts["again"],
            has_null={k: bool(counts[f"nulls {k}"]) for k in keys},
            range=range_by(rows, keys, counts.asDict()),
        )


def range_of(rows: DataFrame, keys: Sequence[str]) -> str:
    """SQL condition on the rows of `target` that can have a key of these rows."""
    found = rows.agg(F.lit(1), *bounds(rows, keys)).first()
    assert found is not None  # an aggregate without groups has one row
    return range_by(rows, keys, found.asDict())


def range_by(rows: DataFrame, keys: Sequence[str], found: Mapping[str, object]) -> str:
    """The same, from the counted `bounds` of the rows."""
    ranges = (
        _within(k, rows.schema[k].dataType, found)
        for k in keys
        if isinstance(rows.schema[k].dataType, _BOUNDED)
    )
    return " AND ".join(ranges) or "true"


@contextmanager
def kept(frame: DataFrame) -> Iterator[DataFrame]:
    """The frame, cached until the block ends."""
    frame = frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield frame
    finally:
        frame.unpersist()


@contextmanager
def computed(frame: DataFrame) -> Iterator[DataFrame]:
    """The frame, computed now and without its plan, until the block ends.

    A plan that takes long to analyze is analyzed once, not again for each query on the frame. On a
    cluster it is only cached: rows that are lost with an executor have to be computed again.
    """
    master = frame.sparkSession.sparkContext.master
    if master and master.startswith("local"):
        yield frame.localCheckpoint()
        return
    with kept(frame) as cached:
        yield cached


def in_table(batch: Ranked, path: Location, columns: Sequence[str], where: Column) -> DataFrame:
    """The table's rows that have a key of the batch: these columns, renamed by `existing`.

    Reads only these columns, and only files that can have such a key.
    """
    stored = batch.frame.sparkSession.read.format("delta").load(str(path))
    stored = stored.alias(tables.TARGET).where(batch.range).where(where)
    table = tables.snapshot(path)
    if table is None or table.files == 0:
        # Spark joins a frame that it knows to be empty at no cost.
        stored = stored.where(F.lit(False))
    stored = stored.select(*(col(c).alias(existing(c)) for c in columns))
    wanted = batch.frame.where(col(PLACE) == 1).select(*(col(k) for k in batch.keys))
    return stored.join(wanted, same_key(batch), "left_semi")


def same_key(batch: Ranked) -> Column:
    """The condition that a row of the batch and one of the table have the same key."""
    pairs = (
        # Nulls are equal. Without nulls in the batch the plain comparison is faster.
        col(k).eqNullSafe(col(existing(k))) if batch.has_null[k] else col(k) == col(existing(k))
        for k in batch.keys
    )
    return reduce(lambda left, right: left & right, pairs)


def refuse_null(batch: Ranked, sequence: str, path: Location) -> None:
    """Raises DataError if a change has no sequence, so that its order is unknown."""
    without = batch.frame.where(col(sequence).isNull())
    if found := without.select(*(col(k) for k in batch.keys)).limit(3).collect():
        samples = "; ".join(
            ", ".join(f"{k}={value}" for k, value in row.asDict().items()) for row in found
        )
        raise DataError(
            f"rows for {path.parent.name}.{path.name} have no {sequence}, such as {samples}",
            code="sequence_missing",
            untouched="nothing of this batch was written",
            next_step=f"add an expectation `not_null: {sequence}` that quarantines such rows",
        )


def bounds(rows: DataFrame, keys: Sequence[str]) -> Iterator[Column]:
    """Aggregates of rows from which `range_by` makes the range of their keys."""
    for k in keys:
        yield F.count_if(col(k).isNull()).alias(f"nulls {k}")
        if isinstance(rows.schema[k].dataType, _BOUNDED):
            yield F.min(col(k)).cast("string").alias(f"lowest {k}")
            yield F.max(col(k)).cast("string").alias(f"highest {k}")


def _within(key: str, kind: DataType, bounds: Mapping[str, object]) -> str:
    """SQL condition on the table's rows whose key is between the batch's lowest and highest."""
    low, high = bounds[f"lowest {key}"], bounds[f"highest {key}"]
    value = f"{tables.TARGET}.{column(key)}"
    null = f"{value} IS NULL"
    if low is None:
        return null if bounds[f"nulls {key}"] else "false"
    ends = (f"CAST({text(str(end))} AS {kind.simpleString()})" for end in (low, high))
    between = "{} BETWEEN {} AND {}".format(value, *ends)
    return f"({between} OR {null})" if bounds[f"nulls {key}"] else f"({between})"
