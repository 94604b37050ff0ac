"""What becomes of each row of a batch, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.config import Expectation, SilverTable
from medallion_jobs.lake.hidden_columns import (
    LATE,
    OUTCOME,
    RESCUED_VALUE,
    ROW,
    SINCE,
    UNDECIDED,
    UNKNOWN,
    hidden,
)
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine import lookup
from medallion_jobs.refine.batch_context import BatchContext
from medallion_jobs.refine.expectations import broken_rules, rules
from medallion_jobs.refine.transform import rescued

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

GOOD, HELD, QUARANTINED, DROPPED, LEFT_OUT = "good", "held", "quarantined", "dropped", "left out"
# Names among the rules that a parked row broke.
WATERMARK, UNKNOWN_MEMBER = "watermark", "unknown_member"
RESCUED_RULE, WHERE = "rescued_value", "where"


def decided(
    rows: DataFrame,
    table: SilverTable,
    context: BatchContext,
    references: Mapping[str, DataFrame],
    existing: DataFrame | None,
) -> DataFrame:
    """The rows with a mark for each rule that they break, and their fate.

    A row that waits for a dimension, or has no match where one is demanded, is judged by no
    rule: what the rules would look at is not there yet. A row whose key, or whose column that
    a rule reads, holds a value that did not fit is neither dropped nor looked up: it is
    quarantined.

    Args:
        references: by rule, the keys of the dimension that it refers to.
        existing: the table that is written, for rules that look into it.
    """
    readers = rescued.Readers.of(table, _kept(rows))
    # A key that did not fit is not one that the dimension lacks.
    rows = lookup.without_misses(rows, [rescued.misfit(one) for one in readers.lookups])
    waits = lookup.held(table.lookups, context.moment)
    gone = lookup.left_out(table.lookups, context.moment)
    misfits = {name: rescued.misfit(one) for name, one in readers.rules.items()}
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
    out = waits | gone
    rows = rows.withColumns(
        {rules.mark(name): hidden(rules.mark(name)) & ~out & ~unjudged[name] for name in unjudged}
        | {
            LATE: late(table, context) & ~waits,
            UNKNOWN: lookup.is_member(rows, table) & ~out,
            RESCUED_VALUE: reduce(or_, unjudged.values(), without_key | hidden(UNDECIDED)),
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
    fate = (
        F.when(hidden(RESCUED_VALUE), QUARANTINED)
        .when(waits, HELD)
        .when(gone, LEFT_OUT)
        # What breaks rules of both kinds is kept.
        .when(quarantines, QUARANTINED)
        .when(drops, DROPPED)
        .otherwise(GOOD)
    )
    return rows.withColumn(OUTCOME, fate)


def _cannot_be_judged(name: str, rule: Expectation) -> Column:
    """Whether a rule says nothing of a row in which a column that it reads did not fit.

    Rules that compare rows would take all such rows for equal, or for strangers. A rule that
    drops would drop what can still be read.
    """
    if rule.references is not None or rule.unique is not None:
        return F.lit(True)
    if rule.otherwise == "drop" and rule.not_rescued is None:
        return hidden(rules.mark(name))
    return F.lit(False)


def _kept(rows: DataFrame) -> StructType:
    kept = rows.schema[ROW].dataType
    assert isinstance(kept, StructType)  # a recipe made it
    return kept


def late(table: SilverTable, context: BatchContext) -> Column:
    """Whether a row is behind the watermark; one that was parked came in time."""
    before = context.too_late(table.watermark.delay) if table.watermark else None
    if before is None or table.watermark is None:
        return F.lit(False)
    is_late = col(table.watermark.column).cast("timestamp") < F.lit(before)
    return F.coalesce(is_late, F.lit(False)) & hidden(SINCE).isNull()


def rules_broken(table: SilverTable, moment: datetime) -> Column:
    """By name, why a row is parked: rules, dimensions, the watermark."""
    return F.concat(
        broken_rules.names(table.expect),
        lookup.names(table.lookups, moment),
        _if(RESCUED_VALUE, F.lit(RESCUED_RULE)),
        _if(UNDECIDED, F.lit(WHERE)),
        _if(LATE, F.lit(WATERMARK)),
        _if(UNKNOWN, F.lit(UNKNOWN_MEMBER)),
    )


def reasons(rows: DataFrame, table: SilverTable) -> Column:
    """In words, why a row is parked."""
    words = (
        F.lit("behind the watermark")
        if table.watermark is None
        else F.concat(
            F.lit(f"{table.watermark.column} is behind the watermark: "),
            col(table.watermark.column).cast("string"),
        )
    )
    return F.concat(
        broken_rules.reasons(rows, table.expect),
        rescued.reasons(),
        _if(UNDECIDED, F.lit(f"`where` cannot be decided: {table.where}")),
        lookup.reasons(table.lookups),
        _if(LATE, words),
        _if(UNKNOWN, F.lit("its key is that of the unknown member, which no row may change")),
    )


def _if(name: str, word: Column) -> Column:
    return F.when(hidden(name), F.array(word)).otherwise(F.array().cast("array<string>"))


def _late_is(table: SilverTable, what: str) -> bool:
    return table.watermark is not None and table.watermark.late == what
