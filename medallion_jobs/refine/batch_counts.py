"""Counts that are observed while a batch is written, and the summary made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.config import SilverTable
from medallion_jobs.engine.stream import Batch, Written
from medallion_jobs.lake.hidden_columns import OUTCOME, RESCUED_VALUE, hidden, row_type
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.observe.rule_table import Judged
from medallion_jobs.observe.set_aside import SetAside
from medallion_jobs.refine import lookup, outcome
from medallion_jobs.refine.expectations import broken_rules, rules
from medallion_jobs.refine.transform import rescued, shape
from medallion_jobs.refine.transform.readers import Readers
from medallion_jobs.refine.write.modes import WriteResult

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Observation

_OUTCOMES = (outcome.HELD, outcome.QUARANTINED, outcome.DROPPED, outcome.LEFT_OUT, outcome.GOOD)
_READ, _TAKEN, _NEWEST = "read", "taken", "newest moment"
_AMBIGUOUS = "ambiguous"
# Prefixes of the hidden columns that mark values which could not be read.
_UNREAD = ("cast ", "parse ")
_PASSED_ON = "passed on "
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def of_source(source: DataFrame, table: SilverTable, observed: Observation) -> DataFrame:
    """The source's rows, with an observation that counts them and those that pass `where`."""
    return source.observe(observed, *source_counts(source, table))


def source_counts(source: DataFrame, table: SilverTable) -> list[Column]:
    """The counts over rows of the source."""
    taken = shape.taken(source, table)
    return [F.count(F.lit(1)).alias(_READ), F.count_if(taken).alias(_TAKEN)]


def of_judged(
    judged: DataFrame, table: SilverTable, elsewhere: Mapping[str, Sequence[str]]
) -> list[Column]:
    """The counts over judged rows.

    Args:
        elsewhere: by table, the columns and SQL over them that it reads of this one.
    """
    readers = Readers.of(table, row_type(judged), elsewhere)
    is_good = hidden(OUTCOME) == outcome.GOOD
    unread = [name for name in judged.columns if name.startswith(_UNREAD)]
    counts = [
        *(F.count_if(hidden(OUTCOME) == name).alias(name) for name in _OUTCOMES),
        F.count_if(hidden(RESCUED_VALUE)).alias(RESCUED_VALUE),
        *lookup.observed(table.lookups),
        *broken_rules.observed(table.expect),
        *(F.count_if(hidden(name)).alias(name) for name in unread),
        *(
            F.count_if(is_good & unfit).alias(f"{_PASSED_ON}{what}")
            for what, unfit in rescued.passed_on(readers)
        ),
    ]
    if table.watermark:
        micros = F.unix_micros(col(table.watermark.column).cast("timestamp"))
        counts.append(F.max(F.when(is_good, micros)).alias(_NEWEST))
    return counts


def with_ambiguous(counts: Mapping[str, int], found: int) -> dict[str, int]:
    """The counts, with so many of the good rows quarantined since another has their sequence."""
    return {
        **counts,
        outcome.GOOD: counts[outcome.GOOD] - found,
        outcome.QUARANTINED: counts[outcome.QUARANTINED] + found,
        _AMBIGUOUS: found,
    }


def newest(counts: Mapping[str, int]) -> datetime | None:
    """The newest event time of a batch's good rows; None without a watermark."""
    return moment(counts.get(_NEWEST))


def moment(micros: int | None) -> datetime | None:
    """The UTC time of microseconds since 1970. (Spark would convert it to local time.)"""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def of_rules(
    table: SilverTable, name: str, counts: Mapping[str, int], batch: Batch, at: datetime
) -> Judged:
    """The rules' results of a batch, for the table `metrics.quality`."""
    return Judged(
        table=name,
        generation=batch.generation,
        batch=batch.number,
        run_id=batch.txn.run_id,
        at=at,
        broken_rows=counts[rules.ANY],
        rules=rules.rule_counts(table.expect, rules.counts_of(table.expect, counts), _rows(counts)),
    )


def summary(
    table: SilverTable,
    counts: Mapping[str, int],
    result: WriteResult,
    remarks: Sequence[str],
    warning: SetAside | None = None,
) -> Written:
    """The result of a batch, as the engine reports it.

    Args:
        remarks: further remarks, such as those about stale dimensions.
        warning: the warning of a batch of which most rows are not in the table.
    """
    unread = [
        f"{counts[name]:,} values not read: {name}"
        for name in counts
        if name.startswith(_UNREAD) and counts[name]
    ]
    unread += [
        f"{counts[name]:,} rows have a null for a value that did not fit: "
        f"{name.removeprefix(_PASSED_ON)}"
        for name in counts
        if name.startswith(_PASSED_ON) and counts[name]
    ]
    if unfit := counts[RESCUED_VALUE]:
        no_change = "no change that can be read, or " if table.envelope else ""
        unread.append(f"{unfit:,} rows quarantined: {no_change}a value did not fit its column")
    ambiguous = counts.get(_AMBIGUOUS, 0)
    if ambiguous:
        unread.append(
            f"{ambiguous:,} rows quarantined: another change of their key has the same "
            f"{table.sequence}"
        )
    broken = rules.counts_of(table.expect, counts)
    return Written(
        rows_in=counts[_READ],
        rows_out=result.rows_out,
        quarantined=counts[outcome.QUARANTINED],
        filtered=filtered(counts),
        dropped=counts[outcome.DROPPED] + counts[outcome.LEFT_OUT],
        held=counts[outcome.HELD],
        repeated=result.repeated + result.ignored - ambiguous,
        remarks=(
            *lookup.remarks(table.lookups, counts),
            *rules.remarks(table.expect, broken, _rows(counts)),
            *unread,
            *remarks,
        ),
        set_aside=warning,
    )


def filtered(counts: Mapping[str, int]) -> int:
    """How many rows of the source `where` filters out."""
    return counts[_READ] - counts[_TAKEN]


def set_aside(counts: Mapping[str, int]) -> tuple[int, int]:
    """How many rows a batch has, and how many of them do not get into the table."""
    rows = _rows(counts) + filtered(counts)
    return rows, rows - counts[outcome.GOOD]


def _rows(counts: Mapping[str, int]) -> int:
    return sum(counts[name] for name in _OUTCOMES)
