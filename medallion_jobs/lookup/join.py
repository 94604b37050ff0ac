"""The lookup join: rows keep their number, and a miss is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)

from medallion_jobs.config import Lookup
from medallion_jobs.lookup.dimension import Dimension

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def join_all(rows: DataFrame, dimensions: Sequence[Dimension]) -> DataFrame:
    """Fetches the columns of each dimension, in order.

    Beside them comes a column for each lookup that tells whether a key was found; `misses`
    reads it and the declared schema leaves it out.
    """
    for place, dimension in enumerate(dimensions):
        lookup = dimension.lookup
        found = dimension.rows.withColumn(_found(place), F.lit(True))
        # Inner lookups too: a row is left out only after it was counted, by `without_misses`.
        rows = rows.join(found, on=list(lookup.on), how="left")
    return rows


def misses(lookups: Sequence[Lookup]) -> list[Column]:
    """Counts of rows whose key was not in the dimension, to be observed on the joined rows."""
    # An observation needs one measure at least.
    always = F.count(F.lit(1)).alias("rows")
    counts = [
        F.count_if(F.col(_found(place)).isNull()).alias(_found(place))
        for place, _ in enumerate(lookups)
    ]
    return [always, *counts]


def without_misses(rows: DataFrame, lookups: Sequence[Lookup]) -> DataFrame:
    """The rows that have a match in every lookup that demands one (`how: inner`)."""
    for place, lookup in enumerate(lookups):
        if lookup.how == "inner":
            rows = rows.where(F.col(_found(place)).isNotNull())
    return rows


def remarks(lookups: Sequence[Lookup], observed: Mapping[str, int]) -> tuple[str, ...]:
    """The misses in words; what was found needs none."""
    return tuple(
        f"{observed[_found(place)]:,} rows without a match in {lookup.table}"
        + (", left out" if lookup.how == "inner" else "")
        for place, lookup in enumerate(lookups)
        if observed[_found(place)]
    )


def _found(place: int) -> str:
    return f"__found_{place}"
