"""Complete mode's write: all groups in place of those that were there, in one commit.

    write(df, path, txn, new_schema=False, layout=None) -> Outcome

A batch that changes no group leaves the table's files alone. It is told by a fingerprint of
the rows, which each commit notes of itself. Its transaction is committed all the same, with no
row: by the newest transaction the fence knows that the table has not lost the end of its log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pyspark import StorageLevel
from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)
from pyspark.sql.types import (
    ArrayType,
    DataType,
    MapType,
    StructType,
    VariantType,
)

from medallion_jobs.aggregate.foreign import has_changed
from medallion_jobs.config import Layout
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import Txn
from medallion_jobs.lake.tables.json_text import JSON_TEXT
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# What a commit notes of the rows that the table then has.
ROWS = "rows"

_ANY_NUMBER = 1_000_000


@dataclass(frozen=True)
class Outcome:
    """What a batch came to.

    Attributes:
        groups: rows that the table has now.
        how: replaced: all rows are new; same: the rows were these already; before: an earlier
            run wrote this batch.
    """

    groups: int
    how: Literal["replaced", "same", "before"]


def write(
    df: DataFrame,
    path: Location,
    txn: Txn,
    *,
    new_schema: bool = False,
    layout: Layout | None = None,
) -> Outcome:
    """Makes the table hold the rows, once.

    The rows are computed once, whatever becomes of them: the state of a stream is then
    computed, too, without which Spark lets no batch pass.

    Args:
        df: all groups of a stream in complete mode.
        new_schema: the rows bring their own columns and types, and are written in any case.
        layout: the table's, with new columns; see `tables.replace`.
    """
    with _kept(df) as rows:
        groups, found = _fingerprint(rows)
        noted = replace(txn, notes={**txn.notes, **({ROWS: found} if found else {})})
        there = tables.snapshot(path)
        if there and there.txn(txn.app_id) >= txn.batch:
            return Outcome(groups, "before")
        if found and not new_schema and found == _noted(path, txn.app_id):
            nothing = rows.sparkSession.createDataFrame([], rows.schema)
            tables.append(nothing, path, noted)
            return Outcome(groups, "same")
        tables.replace(rows, path, noted, new_schema=new_schema, layout=layout)
        return Outcome(groups, "replaced")


@contextmanager
def _kept(df: DataFrame) -> Iterator[DataFrame]:
    """The rows, computed once: a stream's state would be read again for each computation."""
    # More partitions than there ever are: none is moved, but Spark forgets in which order the
    # rows come. It tells that by columns of the batch's own plan, and finds them no more in
    # what was kept.
    kept = df.coalesce(_ANY_NUMBER).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield kept
    finally:
        kept.unpersist()


def _noted(path: Location, app_id: str) -> str | None:
    """The fingerprint of the table's rows, if nobody else has changed them since it was noted."""
    there = tables.snapshot(path)
    ours = tables.commit_of(path, app_id, there.txn(app_id)) if there else None
    if ours is None:
        return None
    noted = ours.user_metadata.get(ROWS)
    return str(noted) if noted and not has_changed(path, ours.version) else None


def _fingerprint(rows: DataFrame) -> tuple[int, str | None]:
    """How many rows there are, and a text that is the same for the same rows in any order.

    No text where a column is, or has in it, a map: its entries have no order.
    """
    fields = rows.schema.fields
    if any(has_type(MapType, field.dataType) for field in fields):
        return rows.count(), None
    # Spark's hash passes over nulls, so each column says whether it is one.
    parts = [
        part
        for field in fields
        for value in [_plain(col(field.name), field.dataType)]
        for part in (value.isNull(), value)
    ]
    # The first value seeds the hash of the next: two hashes that know nothing of each other.
    one, other = (F.xxhash64(F.lit(seed), *parts) for seed in ("rows", "and again"))
    found = rows.agg(
        F.count("*").alias("groups"),
        F.sum(one.cast("decimal(20,0)")).alias("sum"),
        F.bit_xor(other).alias("xor"),
    ).collect()[0]
    schema = hashlib.sha256(rows.schema.simpleString().encode()).hexdigest()[:16]
    return found["groups"], f"{schema} {found['groups']} {found['sum']} {found['xor']}"


def _plain(value: Column, kind: DataType) -> Column:
    """A value of which the hash sees all: of what has parts, the nulls among them, too."""
    if isinstance(kind, VariantType):
        return F.to_json(value)
    if isinstance(kind, StructType | ArrayType):
        return F.to_json(F.struct(value.alias("value")), JSON_TEXT)
    return value


def has_type(wanted: type[DataType] | tuple[type[DataType], ...], kind: DataType) -> bool:
    """Whether a type is of one of these kinds, or has one in it."""
    if isinstance(kind, StructType):
        return any(has_type(wanted, field.dataType) for field in kind)
    if isinstance(kind, ArrayType):
        return has_type(wanted, kind.elementType)
    return isinstance(kind, wanted)
