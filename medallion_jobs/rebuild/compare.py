"""Which rows a rebuild changes: the table as it is beside the table as it would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from medallion_jobs.lake.tables.sql import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_OLD, _NEW, _PLACE = "the old row", "the new row", "place among equals"


@dataclass(frozen=True)
class Change:
    """A row that changes: its identity, and the columns with the value before and after.

    Attributes:
        what: `changed`, `added` or `removed`.
    """

    what: str
    identity: dict[str, str | None]
    values: dict[str, tuple[str | None, str | None]]


@dataclass(frozen=True)
class Comparison:
    """What a rebuild changes.

    Attributes:
        sample: some of these rows.
    """

    changed: int
    added: int
    removed: int
    sample: tuple[Change, ...]


def compare(old: DataFrame, new: DataFrame, identity: Sequence[str], sample: int) -> Comparison:
    """Compares two tables row by row; values are compared as text.

    Args:
        identity: columns by which a row is the same row; rows that are equal in them are compared
            in their order. None: rows are only added and removed.
    """
    names = list(dict.fromkeys([*old.columns, *new.columns]))
    before, after = (_as_text(rows, names) for rows in (old, new))
    gone, come = before.exceptAll(after), after.exceptAll(before)
    keys = [name for name in identity if name in names]
    left, right = _placed(gone, keys, names, _OLD), _placed(come, keys, names, _NEW)
    on = [
        F.col(f"left.{_quoted(k)}").eqNullSafe(F.col(f"right.{_quoted(k)}"))
        for k in left.columns
        if k != _OLD
    ]
    pairs = (
        left.alias("left")
        .join(right.alias("right"), on, "full")
        .select(
            F.col(f"left.{_quoted(_OLD)}").alias(_OLD), F.col(f"right.{_quoted(_NEW)}").alias(_NEW)
        )
        .persist()
    )
    try:
        is_old, is_new = F.col(_quoted(_OLD)).isNotNull(), F.col(_quoted(_NEW)).isNotNull()
        kind = F.when(is_old & is_new, "changed").when(is_new, "added").otherwise("removed")
        found = {r["kind"]: r["count"] for r in pairs.groupBy(kind.alias("kind")).count().collect()}
        rows = pairs.select(kind.alias("kind"), *map(col, (_OLD, _NEW))).limit(sample).collect()
    finally:
        pairs.unpersist()
    return Comparison(
        changed=found.get("changed", 0),
        added=found.get("added", 0),
        removed=found.get("removed", 0),
        sample=tuple(_change(row["kind"], row[_OLD], row[_NEW], keys, names) for row in rows),
    )


def _change(
    what: str,
    old: Sequence[str | None] | None,
    new: Sequence[str | None] | None,
    keys: Sequence[str],
    names: Sequence[str],
) -> Change:
    nothing: Sequence[str | None] = [None] * len(names)
    values = dict(zip(names, zip(old or nothing, new or nothing, strict=True), strict=True))
    identity = {key: values[key][0 if old else 1] for key in keys}
    differs = {n: pair for n, pair in values.items() if n not in keys and pair[0] != pair[1]}
    return Change(what, identity, differs)


def _placed(rows: DataFrame, keys: Sequence[str], names: Sequence[str], row: str) -> DataFrame:
    """The rows as one array each, with their identity and their place among equals."""
    order: list[Column] = [col(name) for name in names]
    place = F.row_number().over(Window.partitionBy(*map(col, keys)).orderBy(*order))
    whole = F.array(*map(col, names)).alias(row)
    return rows.select(*map(col, keys), place.alias(_PLACE), whole)


def _as_text(rows: DataFrame, names: Sequence[str]) -> DataFrame:
    """The rows with these columns as text; nulls for columns that they lack."""

    def value(name: str) -> Column:
        if name not in rows.columns:
            return F.lit(None).cast("string")
        kind = rows.schema[name].dataType.typeName()
        nested = kind in ("struct", "array", "map", "variant")
        return F.to_json(col(name)) if nested else col(name).cast("string")

    return rows.select(*[value(name).alias(name) for name in names])


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
