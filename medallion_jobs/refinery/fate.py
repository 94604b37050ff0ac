"""What becomes of each row of a batch, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)

from medallion_jobs import lookup
from medallion_jobs.config import SilverTable
from medallion_jobs.quality import expectations, rules
from medallion_jobs.refinery.facts import Facts
from medallion_jobs.refinery.marks import FATE, LATE, SINCE, UNKNOWN, mark

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

GOOD, HELD, QUARANTINED, DROPPED, LEFT_OUT = "good", "held", "quarantined", "dropped", "left out"
# Names among the rules that a parked row broke.
WATERMARK, UNKNOWN_MEMBER = "watermark", "unknown_member"


def decided(
    rows: DataFrame,
    table: SilverTable,
    facts: Facts,
    references: Mapping[str, DataFrame],
    existing: DataFrame | None,
) -> DataFrame:
    """The rows with a mark for each rule that they break, and their fate.

    A row that waits for a dimension, or has no match where one is demanded, is judged by no
    rule: what the rules would look at is not there yet.

    Args:
        references: by rule, the keys of the dimension that it refers to.
        existing: the table that is written, for rules that look into it.
    """
    waits = lookup.held(table.lookups, facts.moment)
    gone = lookup.left_out(table.lookups, facts.moment)
    rows = expectations.judged(
        rows, table.expect, moment=facts.moment, references=references, existing=existing
    )
    out = waits | gone
    rows = rows.withColumns(
        {name: mark(name) & ~out for name in map(rules.mark, table.expect)}
        | {
            LATE: late(table, facts) & ~waits,
            UNKNOWN: lookup.is_member(rows, table) & ~out,
        }
    )
    drops = expectations.with_action(table.expect, "drop") | (
        mark(LATE) if _late_is(table, "drop") else F.lit(False)
    )
    quarantines = (
        expectations.with_action(table.expect, "quarantine")
        | lookup.quarantined(table.lookups, facts.moment)
        | mark(UNKNOWN)
        | (mark(LATE) if _late_is(table, "quarantine") else F.lit(False))
    )
    fate = (
        F.when(waits, HELD)
        .when(gone, LEFT_OUT)
        # What breaks rules of both kinds is kept.
        .when(quarantines, QUARANTINED)
        .when(drops, DROPPED)
        .otherwise(GOOD)
    )
    return rows.withColumn(FATE, fate)


def late(table: SilverTable, facts: Facts) -> Column:
    """Whether a row is behind the watermark; one that was parked came in time."""
    before = facts.too_late(table.watermark.delay) if table.watermark else None
    if before is None or table.watermark is None:
        return F.lit(False)
    is_late = F.col(table.watermark.column).cast("timestamp") < F.lit(before)
    return F.coalesce(is_late, F.lit(False)) & mark(SINCE).isNull()


def rules_broken(table: SilverTable, moment: datetime) -> Column:
    """By name, why a row is parked: rules, dimensions, the watermark."""
    return F.concat(
        expectations.names(table.expect),
        lookup.names(table.lookups, moment),
        _if(LATE, F.lit(WATERMARK)),
        _if(UNKNOWN, F.lit(UNKNOWN_MEMBER)),
    )


def reasons(table: SilverTable) -> Column:
    """In words, why a row is parked."""
    words = (
        F.lit("behind the watermark")
        if table.watermark is None
        else F.concat(
            F.lit(f"{table.watermark.column} is behind the watermark: "),
            F.col(table.watermark.column).cast("string"),
        )
    )
    return F.concat(
        expectations.reasons(table.expect),
        lookup.reasons(table.lookups),
        _if(LATE, words),
        _if(UNKNOWN, F.lit("its key is that of the unknown member, which no row may change")),
    )


def _if(name: str, word: Column) -> Column:
    return F.when(mark(name), F.array(word)).otherwise(F.array().cast("array<string>"))


def _late_is(table: SilverTable, what: str) -> bool:
    return table.watermark is not None and table.watermark.late == what
