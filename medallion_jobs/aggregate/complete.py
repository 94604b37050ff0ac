"""The write of complete mode: all groups replace the table's rows, in one commit.

    write(df, path, txn, new_schema=False, layout=None) -> Outcome

A batch that changes no group does not rewrite the table's files: a fingerprint of the rows, which
each commit records, is the same as before. Its transaction is still committed, without rows,
because the start checks use it to check that the table has not lost the end of its log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pyspark import StorageLevel
from pyspark.sql import functions as F
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
from medallion_jobs.lake.values.type_walk import has
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# The name under which a commit records the fingerprint of the table's rows.
ROWS = "rows"

_ANY_NUMBER = 1_000_000


@dataclass(frozen=True)
class Outcome:
    """The result of a batch.

    Attributes:
        groups: how many rows the table has now.
        how: replaced: all rows were written; same: the table already had these rows; before:
            an earlier run wrote this batch.
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
    """Replaces the table's rows, once for each batch.

    The rows are always computed, even if they are not written: Spark finishes a batch only
    after it has computed the state of the stream.

    Args:
        df: all groups of a stream in complete mode.
        new_schema: write the rows in any case, with their columns and types.
        layout: the layout of the table, with new columns; see `tables.replace`.
    """
    with _cached(df) as rows:
        groups, fingerprint = _fingerprint(rows)
        notes = {**txn.notes, **({ROWS: fingerprint} if fingerprint else {})}
        txn = replace(txn, notes=notes)
        snapshot = tables.snapshot(path)
        if snapshot and snapshot.txn(txn.app_id) >= txn.batch:
            return Outcome(groups, "before")
        if fingerprint and not new_schema and fingerprint == _recorded(path, txn.app_id):
            empty = rows.sparkSession.createDataFrame([], rows.schema)
            tables.append(empty, path, txn)
            return Outcome(groups, "same")
        tables.replace(rows, path, txn, new_schema=new_schema, layout=layout)
        return Outcome(groups, "replaced")


@contextmanager
def _cached(df: DataFrame) -> Iterator[DataFrame]:
    """The rows, cached: each computation would read the stream's state again."""
    # `coalesce` to more partitions than there are moves no rows, but makes Spark forget the
    # order of the rows. Spark describes that order by columns of the batch's plan, which it
    # cannot find in the cached plan.
    cached = df.coalesce(_ANY_NUMBER).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield cached
    finally:
        cached.unpersist()


def _recorded(path: Location, app_id: str) -> str | None:
    """The recorded fingerprint of the table's rows; None if somebody else has changed them."""
    snapshot = tables.snapshot(path)
    commit = tables.commit_of(path, app_id, snapshot.txn(app_id)) if snapshot else None
    if commit is None:
        return None
    recorded = commit.user_metadata.get(ROWS)
    return str(recorded) if recorded and not has_changed(path, commit.version) else None


def _fingerprint(rows: DataFrame) -> tuple[int, str | None]:
    """How many rows there are, and a text that is the same for the same rows in any order.

    The text is None if a column is or contains a map: map entries have no order.
    """
    fields = rows.schema.fields
    if has(rows.schema, MapType):
        return rows.count(), None
    # Spark's hash ignores nulls, so each column adds a flag for null.
    parts = [
        part
        for field in fields
        for value in [_plain(col(field.name), field.dataType)]
        for part in (value.isNull(), value)
    ]
    # The first value seeds the hash of the next: these are two independent hashes.
    first, second = (F.xxhash64(F.lit(seed), *parts) for seed in ("rows", "and again"))
    found = rows.agg(
        F.count("*").alias("groups"),
        F.sum(first.cast("decimal(20,0)")).alias("sum"),
        F.bit_xor(second).alias("xor"),
    ).collect()[0]
    schema = hashlib.sha256(rows.schema.simpleString().encode()).hexdigest()[:16]
    return found["groups"], f"{schema} {found['groups']} {found['sum']} {found['xor']}"


def _plain(value: Column, kind: DataType) -> Column:
    """The value in a form whose hash depends on all its parts, including nulls."""
    if isinstance(kind, VariantType):
        return F.to_json(value)
    if isinstance(kind, StructType | ArrayType):
        return F.to_json(F.struct(value.alias("value")), JSON_TEXT)
    return value
