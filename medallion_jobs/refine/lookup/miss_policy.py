"""What becomes of rows whose key was not in a dimension, and how it is told.

All of it is over the marks that `join_all` leaves.
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
# With nulls, or with the dimension's unknown member.
_GO_ON = ("null", "unknown")


def without_misses(rows: DataFrame, unfit: Sequence[Column]) -> DataFrame:
    """Joined rows, where a lookup whose key did not fit has missed nothing.

    Args:
        unfit: by the lookup's place, whether a value of its key did not fit; never null.
    """
    changed = {}
    for place, is_unfit in enumerate(unfit):
        changed[hidden_columns.miss(place)] = col(hidden_columns.miss(place)) & ~is_unfit
        changed[hidden_columns.missed(place)] = F.when(~is_unfit, col(hidden_columns.missed(place)))
    return rows.withColumns(changed) if changed else rows


def observed(lookups: Sequence[Lookup]) -> list[Column]:
    """Counts of misses, one a lookup, for `DataFrame.observe` on the joined rows."""
    return [
        F.count_if(col(hidden_columns.miss(place))).alias(_count(place))
        for place, _ in enumerate(lookups)
    ]


def remarks(lookups: Sequence[Lookup], observed: Mapping[str, int]) -> tuple[str, ...]:
    """The misses in words, from the counts of `observed`; what was found needs none."""
    return tuple(
        f"{observed[_count(place)]:,} rows without a match in {lookup.table}{_fate(lookup)}"
        for place, lookup in enumerate(lookups)
        if observed[_count(place)]
    )


def held(lookups: Sequence[Lookup], moment: datetime) -> Column:
    """Whether the row waits for a key.

    Args:
        moment: the batch's own, with a time zone; a row that waited for as long as `hold_for`
            before it, by its column `held since`, does not wait any more.
    """
    return hidden_columns.any_of(
        missed & ~_in_vain(place, lookup, moment)
        for place, lookup, missed in _missed(lookups)
        if lookup.on_miss == "hold"
    )


def quarantined(lookups: Sequence[Lookup], moment: datetime) -> Column:
    """Whether a miss puts the row into quarantine, at once or after it waited in vain."""
    at_once = [
        missed for place, lookup, missed in _missed(lookups) if lookup.on_miss == "quarantine"
    ]
    afterwards = [
        missed & _in_vain(place, lookup, moment)
        for place, lookup, missed in _missed(lookups)
        if lookup.on_miss == "hold" and lookup.after_hold == "quarantine"
    ]
    return hidden_columns.any_of([*at_once, *afterwards])


def left_out(lookups: Sequence[Lookup], moment: datetime) -> Column:
    """Whether an inner lookup leaves the row out: with nulls it may not go on."""
    inner = [one for one in _missed(lookups) if one[1].how == "inner"]
    at_once = [missed for _, one, missed in inner if one.on_miss == "null"]
    afterwards = [
        missed & _in_vain(place, lookup, moment)
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
    """The dimensions for which a row is parked, as array<string>: it waits, or waits no more."""
    told = [
        F.when(missed & _parks(place, lookup, moment), F.lit(str(lookup.table)))
        for place, lookup, missed in _missed(lookups)
    ]
    return F.array_distinct(_those_that_are(told))


def reasons(lookups: Sequence[Lookup]) -> Column:
    """Why a row did not go on, as array<string>: `no match in silver.customers for id=7`.

    Misses that change nothing of a row's way (`on_miss: null` or `unknown`) are none.
    """
    words = [
        F.when(col(hidden_columns.miss(place)), F.concat(F.lit(_no_match(lookup)), _said(place)))
        for place, lookup in enumerate(lookups)
        if lookup.on_miss not in _GO_ON
    ]
    return _those_that_are(words)


def left_out_names(lookups: Sequence[Lookup]) -> Column:
    """The dimensions of inner lookups that found nothing for a row, as array<string>."""
    return _those_that_are(
        [
            F.when(missed, F.lit(str(lookup.table)))
            for _, lookup, missed in _missed(lookups)
            if lookup.how == "inner"
        ]
    )


def left_out_reasons(lookups: Sequence[Lookup]) -> Column:
    """Why an inner lookup leaves a row out, as array<string>, as in `reasons`."""
    return _those_that_are(
        [
            F.when(missed, F.concat(F.lit(_no_match(lookup)), _said(place)))
            for place, lookup, missed in _missed(lookups)
            if lookup.how == "inner"
        ]
    )


def explain_failure(rows: DataFrame, lookups: Sequence[Lookup], table: str) -> DataError | None:
    """The error for a batch that misses have stopped, with samples. Reads the batch again.

    Args:
        rows: the joined rows.
        table: `layer.name` of what is written.

    Returns:
        None where no row lacks a match that is demanded (`on_miss: fail`).
    """
    demanded = [(place, lookup) for place, lookup in enumerate(lookups) if lookup.on_miss == "fail"]
    if not demanded:
        return None
    (found,) = rows.agg(F.count(F.lit(1)).alias("rows"), *observed(lookups)).collect()
    told = [
        f"{found[_count(place)]:,} of {found['rows']:,} rows without a match in {lookup.table}: "
        + "; ".join(_samples(rows, place))
        for place, lookup in demanded
        if found[_count(place)]
    ]
    if not told:
        return None
    missing = ", ".join(str(one.table) for place, one in demanded if found[_count(place)])
    return DataError(
        f"{table}: " + "\n  ".join(told),
        untouched="nothing of the batch is visible",
        next_step=f"load the keys into {missing}, then run again; or give the lookup another "
        "`on_miss` in the config",
    )


def _samples(rows: DataFrame, place: int) -> list[str]:
    missed = rows.where(col(hidden_columns.miss(place))).select(_said(place).alias("said"))
    return [row["said"] for row in missed.distinct().orderBy("said").limit(_SAMPLES).collect()]


def _said(place: int) -> Column:
    return col(hidden_columns.missed(place))["said"]


def _no_match(lookup: Lookup) -> str:
    return f"no match in {lookup.table} for "


def _those_that_are(words: Sequence[Column]) -> Column:
    """An array without the words that are null."""
    return F.filter(F.array(*words).cast("array<string>"), lambda word: word.isNotNull())


def _parks(place: int, lookup: Lookup, moment: datetime) -> Column:
    if lookup.on_miss == "hold" and lookup.after_hold in _GO_ON:
        return ~_in_vain(place, lookup, moment)
    return F.lit(lookup.on_miss in ("hold", "quarantine"))


def _missed(lookups: Sequence[Lookup]) -> Iterator[tuple[int, Lookup, Column]]:
    return (
        (place, lookup, col(hidden_columns.miss(place))) for place, lookup in enumerate(lookups)
    )


def _in_vain(place: int, lookup: Lookup, moment: datetime) -> Column:
    """Whether a row waits no more: it did for long enough, or has no key that could come."""
    since = col(hidden_columns.HELD_SINCE)
    is_over = since.isNotNull() & (since <= F.lit(moment - lookup.hold_for))
    return is_over | col(hidden_columns.missed(place))["key"].isNull()


def _count(place: int) -> str:
    return f"misses {place}"


def _fate(lookup: Lookup) -> str:
    if lookup.on_miss == "hold":
        return ", held"
    if lookup.on_miss == "quarantine":
        return ", quarantined"
    if lookup.on_miss == "unknown":
        return ", taken for unknown"
    return ", left out" if lookup.how == "inner" and lookup.on_miss == "null" else ""
