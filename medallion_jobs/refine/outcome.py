"""The outcome of each row of a batch, and the reasons for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.config import Expectation, SilverTable
from medallion_jobs.lake.hidden_columns import (
    AMBIGUOUS,
    LATE,
    OUTCOME,
    REFUSED_DUMP,
    RESCUED_VALUE,
    SINCE,
    UNDECIDED,
    UNKNOWN,
    UNREADABLE,
    hidden,
    row_type,
)
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine import lookup
from medallion_jobs.refine.batch_context import BatchContext
from medallion_jobs.refine.expectations import broken_rules, rules
from medallion_jobs.refine.transform import rescued
from medallion_jobs.refine.transform.readers import Readers
from medallion_jobs.refine.write import ambiguous
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

GOOD, HELD, QUARANTINED, DROPPED, LEFT_OUT = "good", "held", "quarantined", "dropped", "left out"
# Names that stand beside rule names in the `rules` of a parked row.
WATERMARK, UNKNOWN_MEMBER = "watermark", "unknown_member"
RESCUED_RULE, WHERE, AMBIGUOUS_RULE = "rescued_value", "where", "ambiguous_sequence"
ENVELOPE, DUMP_RULE = "envelope", "refused_dump"


def decided(
    rows: DataFrame,
    table: SilverTable,
    context: BatchContext,
    references: Mapping[str, DataFrame],
    existing: DataFrame | None,
) -> DataFrame:
    """Adds a hidden column for each rule that a row breaks, and one for the row's outcome.

    No rule applies to a row that waits for a dimension, or that has no match in an inner
    lookup: its looked-up columns have no values. A row is quarantined, neither dropped nor
    looked up, when a value that did not fit is in its key or in a column that a rule reads.

    Args:
        references: by rule, the keys of the dimension that it refers to.
        existing: the target table before the batch, for `unique` rules; None without one.
    """
    readers = Readers.of(table, row_type(rows))
    # A key that did not fit its column does not count as a miss.
    misfit_keys = [rescued.misfit(values) for values in readers.lookups]
    rows = lookup.without_misses(rows, misfit_keys)
    waits = lookup.held(table.lookups, context.moment)
    left_out = lookup.left_out(table.lookups, context.moment)
    misfits = {name: rescued.misfit(values) for name, values in readers.rules.items()}
    rows = broken_rules.judged(
        rows,
        table.expect,
        moment=context.moment,
        references=references,
        existing=existing,
        misfits=misfits,
    )
    unjudged = {
        name: _cannot_be_judged(name, rule) & misfits[name] for name, rule in table.expect.items()
    }
    without_key = rescued.misfit(readers.keys.union(*readers.lookups))
    no_rules = waits | left_out
    rows = rows.withColumns(
        {
            rules.broken_column(name): hidden(rules.broken_column(name))
            & ~no_rules
            & ~unjudged[name]
            for name in unjudged
        }
        | {
            LATE: late(table, context) & ~waits,
            UNKNOWN: lookup.is_member(rows, table) & ~no_rules,
            RESCUED_VALUE: reduce(
                or_,
                unjudged.values(),
                without_key | hidden(UNDECIDED) | hidden(UNREADABLE).isNotNull(),
            ),
            # Known when the table is written: `with_ambiguous`.
            AMBIGUOUS: F.lit(None).cast("string"),
            # Known when the dumps of a batch are decided about: `with_refused`.
            REFUSED_DUMP: F.lit(None).cast("string"),
        }
    )
    drops = broken_rules.with_action(table.expect, "drop") | (
        hidden(LATE) if _late_is(table, "drop") else F.lit(False)
    )
    quarantines = (
        broken_rules.with_action(table.expect, "quarantine")
        | lookup.quarantined(table.lookups, context.moment)
        | hidden(UNKNOWN)
        | (hidden(LATE) if _late_is(table, "quarantine") else F.lit(False))
    )
    row_outcome = (
        F.when(hidden(RESCUED_VALUE), QUARANTINED)
        .when(waits, HELD)
        .when(left_out, LEFT_OUT)
        # A row that breaks rules of both kinds is kept.
        .when(quarantines, QUARANTINED)
        .when(drops, DROPPED)
        .otherwise(GOOD)
    )
    return rows.withColumn(OUTCOME, row_outcome)


def with_ambiguous(
    rows: DataFrame,
    table: SilverTable,
    columns: Sequence[str],
    path: Location,
    version: int,
    *,
    among_each_other: bool = False,
) -> DataFrame:
    """Quarantines good rows that are other changes than the table's of the same sequence.

    Args:
        rows: the result of `decided`.
        columns, version, among_each_other: as in `ambiguous.marked`.
    """
    rows = ambiguous.marked(
        rows,
        table,
        columns,
        path,
        version=version,
        is_good=hidden(OUTCOME) == GOOD,
        among_each_other=among_each_other,
    )
    is_ambiguous = hidden(AMBIGUOUS).isNotNull()
    return rows.withColumn(OUTCOME, F.when(is_ambiguous, QUARANTINED).otherwise(hidden(OUTCOME)))


def with_refused(rows: DataFrame, reason: Column) -> DataFrame:
    """Quarantines good rows of dumps that are refused.

    Args:
        rows: the result of `decided`.
        reason: why the dump of a row is refused; null if it is not.
    """
    is_refused = reason.isNotNull() & (hidden(OUTCOME) == GOOD)
    return rows.withColumns(
        {
            REFUSED_DUMP: F.when(is_refused, reason),
            OUTCOME: F.when(is_refused, QUARANTINED).otherwise(hidden(OUTCOME)),
        }
    )


def _cannot_be_judged(name: str, rule: Expectation) -> Column:
    """Whether a rule cannot judge a row in which a value that it reads did not fit.

    A `unique` rule would take all such rows for duplicates, a `references` rule for rows
    without a match. A rule that drops would lose a value that is still readable as text.
    """
    if rule.references is not None or rule.unique is not None:
        return F.lit(True)
    if rule.otherwise == "drop" and rule.not_rescued is None:
        return hidden(rules.broken_column(name))
    return F.lit(False)


def late(table: SilverTable, context: BatchContext) -> Column:
    """Whether a row is behind the watermark; never true of a parked row, which came in time."""
    before = context.too_late(table.watermark.delay) if table.watermark else None
    if before is None or table.watermark is None:
        return F.lit(False)
    is_late = col(table.watermark.column).cast("timestamp") < F.lit(before)
    return F.coalesce(is_late, F.lit(False)) & hidden(SINCE).isNull()


def rules_broken(table: SilverTable, moment: datetime) -> Column:
    """The names of what parked a row: rules, dimensions, the watermark (array<string>)."""
    return F.concat(
        broken_rules.names(table.expect),
        lookup.names(table.lookups, moment),
        _when(hidden(RESCUED_VALUE) & hidden(UNREADABLE).isNull(), F.lit(RESCUED_RULE)),
        _if(UNDECIDED, F.lit(WHERE)),
        _when(hidden(UNREADABLE).isNotNull(), F.lit(ENVELOPE)),
        _if(LATE, F.lit(WATERMARK)),
        _if(UNKNOWN, F.lit(UNKNOWN_MEMBER)),
        _when(hidden(AMBIGUOUS).isNotNull(), F.lit(AMBIGUOUS_RULE)),
        _when(hidden(REFUSED_DUMP).isNotNull(), F.lit(DUMP_RULE)),
    )


def reasons(rows: DataFrame, table: SilverTable) -> Column:
    """Why a row is parked, one text for each of `rules_broken` (array<string>)."""
    late_reason = (
        F.lit("behind the watermark")
        if table.watermark is None
        else F.concat(
            F.lit(f"{table.watermark.column} is behind the watermark: "),
            col(table.watermark.column).cast("string"),
        )
    )
    return F.concat(
        broken_rules.reasons(rows, table.expect),
        rescued.reasons(Readers.of(table, row_type(rows)).all),
        _if(UNDECIDED, F.lit(f"`where` cannot be decided: {table.where}")),
        _when(hidden(UNREADABLE).isNotNull(), hidden(UNREADABLE)),
        lookup.reasons(table.lookups),
        _if(LATE, late_reason),
        _if(UNKNOWN, F.lit("its key is that of the unknown member, which no row may change")),
        _when(hidden(AMBIGUOUS).isNotNull(), ambiguous.reason(table)),
        _when(hidden(REFUSED_DUMP).isNotNull(), hidden(REFUSED_DUMP)),
    )


def _if(name: str, text: Column) -> Column:
    return _when(hidden(name), text)


def _when(condition: Column, text: Column) -> Column:
    return F.when(condition, F.array(text)).otherwise(F.array().cast("array<string>"))


def _late_is(table: SilverTable, action: str) -> bool:
    return table.watermark is not None and table.watermark.late == action
