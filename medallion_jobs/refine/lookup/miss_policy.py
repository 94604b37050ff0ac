"""The policy for rows whose key is not in a dimension, and its messages.

Everything here uses the hidden columns that `join_all` adds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.config import Lookup
from medallion_jobs.errors import DataError
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.lookup import hidden_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_SAMPLES = 3
# Rows are written, with nulls or with the unknown member.
_WRITTEN = ("null", "unknown")


def without_misses(rows: DataFrame, unfit: Sequence[Column]) -> DataFrame:
    """Joined rows without the misses of keys that did not fit their column.

    Args:
        unfit: by the lookup's index, whether a value of its key did not fit; never null.
    """
    changed = {}
    for place, is_unfit in enumerate(unfit):
        changed[hidden_columns.miss(place)] = col(hidden_columns.miss(place)) & ~is_unfit
        changed[hidden_columns.missed(place)] = F.when(~is_unfit, col(hidden_columns.missed(place)))
    return rows.withColumns(changed) if changed else rows


def observed(lookups: Sequence[Lookup]) -> list[Column]:
    """The counts of misses, one for each lookup, for `DataFrame.observe` on joined rows."""
    return [
        F.count_if(col(hidden_columns.miss(place))).alias(_count(place))
        for place, _ in enumerate(lookups)
    ]


def remarks(lookups: Sequence[Lookup], observed: Mapping[str, int]) -> tuple[str, ...]:
    """A remark for each lookup with misses, from the counts of `observed`."""
    return tuple(
        f"{observed[_count(place)]:,} rows without a match in {lookup.table}{_outcome(lookup)}"
        for place, lookup in enumerate(lookups)
        if observed[_count(place)]
    )


def held(lookups: Sequence[Lookup], moment: datetime) -> Column:
    """Whether the row waits for a key.

    Args:
        moment: when the batch started, with a time zone; a row whose `held since` is `hold_for`
            or more before it does not wait any more.
    """
    return hidden_columns.any_of(
        missed & ~_is_hold_over(place, lookup, moment)
        for place, lookup, missed in _missed(lookups)
        if lookup.on_miss == "hold"
    )


def quarantined(lookups: Sequence[Lookup], moment: datetime) -> Column:
    """Whether a miss puts the row into quarantine, at once or after its hold timed out."""
    at_once = [
        missed for place, lookup, missed in _missed(lookups) if lookup.on_miss == "quarantine"
    ]
    afterwards = [
        missed & _is_hold_over(place, lookup, moment)
        for place, lookup, missed in _missed(lookups)
        if lookup.on_miss == "hold" and lookup.after_hold == "quarantine"
    ]
    return hidden_columns.any_of([*at_once, *afterwards])


def left_out(lookups: Sequence[Lookup], moment: datetime) -> Column:
    """Whether an inner lookup leaves the row out."""
    inner = [
        (place, lookup, missed)
        for place, lookup, missed in _missed(lookups)
        if lookup.how == "inner"
    ]
    at_once = [missed for _, lookup, missed in inner if lookup.on_miss == "null"]
    afterwards = [
        missed & _is_hold_over(place, lookup, moment)
        for place, lookup, missed in inner
        if lookup.on_miss == "hold" and lookup.after_hold == "null"
    ]
    return hidden_columns.any_of([*at_once, *afterwards])


def fails(lookups: Sequence[Lookup]) -> Column:
    """Whether a miss of this row fails the whole batch."""
    return hidden_columns.any_of(
        missed for place, lookup, missed in _missed(lookups) if lookup.on_miss == "fail"
    )


def names(lookups: Sequence[Lookup], moment: datetime) -> Column:
    """The dimensions that a row is held or quarantined for, as array<string>."""
    parking = [
        F.when(missed & _parks(place, lookup, moment), F.lit(str(lookup.table)))
        for place, lookup, missed in _missed(lookups)
    ]
    return F.array_distinct(_not_null(parking))


def reasons(lookups: Sequence[Lookup]) -> Column:
    """Why a row is not written, as array<string>: `no match in silver.customers for id=7`.

    Without the misses of rows that are written all the same (`on_miss: null` or `unknown`).
    """
    found = [
        F.when(col(hidden_columns.miss(place)), F.concat(F.lit(_no_match(lookup)), _key(place)))
        for place, lookup in enumerate(lookups)
        if lookup.on_miss not in _WRITTEN
    ]
    return _not_null(found)


def left_out_names(lookups: Sequence[Lookup]) -> Column:
    """The dimensions in whose inner lookups a row has no match, as array<string>."""
    return _not_null(
        [
            F.when(missed, F.lit(str(lookup.table)))
            for _, lookup, missed in _missed(lookups)
            if lookup.how == "inner"
        ]
    )


def left_out_reasons(lookups: Sequence[Lookup]) -> Column:
    """Why an inner lookup leaves a row out, as array<string>, as in `reasons`."""
    return _not_null(
        [
            F.when(missed, F.concat(F.lit(_no_match(lookup)), _key(place)))
            for place, lookup, missed in _missed(lookups)
            if lookup.how == "inner"
        ]
    )


def explain_failure(rows: DataFrame, lookups: Sequence[Lookup], table: str) -> DataError | None:
    """The error for a batch that was stopped by misses, with samples. Reads the batch again.

    Args:
        rows: the joined rows.
        table: `layer.name` of the target table.

    Returns:
        None if no row misses in a lookup with `on_miss: fail`.
    """
    failing = [(place, lookup) for place, lookup in enumerate(lookups) if lookup.on_miss == "fail"]
    if not failing:
        return None
    (found,) = rows.agg(F.count(F.lit(1)).alias("rows"), *observed(lookups)).collect()
    problems = [
        f"{found[_count(place)]:,} of {found['rows']:,} rows without a match in {lookup.table}: "
        + "; ".join(_samples(rows, place))
        for place, lookup in failing
        if found[_count(place)]
    ]
    if not problems:
        return None
    missing = ", ".join(str(lookup.table) for place, lookup in failing if found[_count(place)])
    return DataError(
        f"{table}: " + "\n  ".join(problems),
        code="lookup_failed_batch",
        untouched="nothing of the batch is visible",
        next_step=f"load the keys into {missing}, then run again; or give the lookup another "
        "`on_miss` in the config",
    )


def _samples(rows: DataFrame, place: int) -> list[str]:
    missed = rows.where(col(hidden_columns.miss(place))).select(_key(place).alias("key"))
    return [row["key"] for row in missed.distinct().orderBy("key").limit(_SAMPLES).collect()]


def _key(place: int) -> Column:
    """The key without a match, as text for messages."""
    return col(hidden_columns.missed(place))["text"]


def _no_match(lookup: Lookup) -> str:
    return f"no match in {lookup.table} for "


def _not_null(texts: Sequence[Column]) -> Column:
    """The texts that are not null, as array<string>."""
    return F.filter(F.array(*texts).cast("array<string>"), lambda text: text.isNotNull())


def _parks(place: int, lookup: Lookup, moment: datetime) -> Column:
    if lookup.on_miss == "hold" and lookup.after_hold in _WRITTEN:
        return ~_is_hold_over(place, lookup, moment)
    return F.lit(lookup.on_miss in ("hold", "quarantine"))


def _missed(lookups: Sequence[Lookup]) -> Iterator[tuple[int, Lookup, Column]]:
    return (
        (place, lookup, col(hidden_columns.miss(place))) for place, lookup in enumerate(lookups)
    )


def _is_hold_over(place: int, lookup: Lookup, moment: datetime) -> Column:
    """Whether a hold is over: `hold_for` has passed, or the key can never arrive."""
    since = col(hidden_columns.HELD_SINCE)
    is_over = since.isNotNull() & (since <= F.lit(moment - lookup.hold_for))
    return is_over | col(hidden_columns.missed(place))["key"].isNull()


def _count(place: int) -> str:
    return f"misses {place}"


def _outcome(lookup: Lookup) -> str:
    """What a remark adds about rows without a match."""
    if lookup.on_miss == "hold":
        return ", held"
    if lookup.on_miss == "quarantine":
        return ", quarantined"
    if lookup.on_miss == "unknown":
        return ", joined to the unknown member"
    return ", left out" if lookup.how == "inner" and lookup.on_miss == "null" else ""
