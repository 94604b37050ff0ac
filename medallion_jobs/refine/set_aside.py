"""The warning when most rows of a batch are not in the table: the rule, with an example.

It takes one more pass, over such a batch only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.config import SilverTable
from medallion_jobs.errors import DataError
from medallion_jobs.lake.columns import RESCUED, RESCUED_FILE
from medallion_jobs.lake.hidden_columns import OUTCOME, hidden, is_hidden
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.observe.set_aside import How, SetAside, cause_of, is_most, shortened
from medallion_jobs.refine import batch_counts, lookup, outcome
from medallion_jobs.refine.transform import shape

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_HOW: Mapping[str, How] = {
    outcome.QUARANTINED: "quarantined",
    outcome.HELD: "held",
    outcome.DROPPED: "dropped",
    outcome.LEFT_OUT: "dropped",
}
_MAX_KEYS = 5


def of_batch(
    table: SilverTable,
    source: DataFrame,
    judged: Callable[[], DataFrame],
    counts: Mapping[str, int],
    moment: datetime,
    *,
    is_first: bool,
) -> SetAside | None:
    """The warning for a batch of which most rows are not in the table; None for other batches.

    Args:
        source: the rows of the batch, as they were read.
        judged: gives the same rows with their outcomes.
        counts: the counts of `batch_counts` over both.
    """
    rows, aside = batch_counts.set_aside(counts)
    if not is_most(rows, aside, is_first=is_first):
        return None
    filtered = batch_counts.filtered(counts)
    if 2 * filtered >= aside:
        return _filtered(table, source, rows, aside)
    return _by_rule(table, judged(), rows, aside, moment)


def refuse(
    table: SilverTable,
    name: str,
    source: DataFrame,
    judged: Callable[[], DataFrame],
    moment: datetime,
    *,
    is_first: bool,
) -> None:
    """Counts a batch before it is written (`on_all_aside: fail`).

    Raises:
        DataError: most rows would not be in the table.
    """
    (taken,) = source.agg(*batch_counts.source_counts(source, table)).collect()
    rows = judged()
    (found,) = rows.agg(*batch_counts.of_judged(rows, table, {})).collect()
    counts = {**taken.asDict(), **found.asDict()}
    if warning := of_batch(table, source, judged, counts, moment, is_first=is_first):
        raise DataError(
            f"{name}: {warning.text}",
            code="most_rows_not_written",
            untouched="nothing of the batch is written; the next run reads it again",
            next_step="change the config, then run again; or allow it by `on_all_aside: warn`",
        )


def _by_rule(
    table: SilverTable, judged: DataFrame, rows: int, aside: int, moment: datetime
) -> SetAside:
    rescued = col(RESCUED) if RESCUED in judged.columns else F.lit(None).cast("string")
    warnings = [name for name, rule in table.expect.items() if rule.otherwise == "warn"]
    names = F.array_except(
        F.array_union(outcome.rules_broken(table, moment), lookup.left_out_names(table.lookups)),
        F.array(*map(F.lit, warnings)).cast("array<string>"),
    )
    found = (
        judged.where(hidden(OUTCOME) != outcome.GOOD)
        .select(
            F.explode(names).alias("rule"),
            F.array_join(_all_reasons(judged, table), "; ").alias("reason"),
            hidden(OUTCOME).alias("outcome"),
            rescued.alias("rescued"),
        )
        .groupBy("rule")
        .agg(
            F.count(F.lit(1)).alias("rows"),
            # The smallest: the same example in every run.
            F.min(F.struct("reason", "rescued", "outcome")).alias("example"),
        )
        .orderBy(F.desc("rows"), "rule")
        .first()
    )
    if found is None:
        return SetAside(rows, aside, "put aside", "its rules", "no row", "look at its rules")
    example = found["example"]
    reason = example["reason"]
    return SetAside(
        rows=rows,
        aside=aside,
        how=_HOW[example["outcome"]],
        rule=found["rule"],
        example=shortened(reason),
        cause=cause_of(
            reason, casts=frozenset(table.cast), others=_keys(example["rescued"], judged)
        ),
    )


def _all_reasons(rows: DataFrame, table: SilverTable) -> Column:
    return F.array_distinct(
        F.concat(outcome.reasons(rows, table), lookup.left_out_reasons(table.lookups))
    )


def _filtered(table: SilverTable, source: DataFrame, rows: int, aside: int) -> SetAside:
    own = [name for name in source.columns if not name.startswith("_")] or source.columns
    row = F.to_json(F.struct(*(col(name) for name in own)))
    filtered_out = (
        source.where(~F.coalesce(shape.taken(source, table), F.lit(False)))
        .select(row.alias("row"))
        .first()
    )
    return SetAside(
        rows=rows,
        aside=aside,
        how="filtered",
        rule="where",
        example=shortened(filtered_out["row"] if filtered_out else ""),
        cause=f"`where: {table.where}` is not true of these rows: compare it with the example",
    )


def _keys(rescued: str | None, judged: DataFrame) -> tuple[str, ...]:
    """The keys of a rescued record that are no columns of the table."""
    try:
        found = json.loads(rescued or "{}")
    except ValueError:
        return ()
    own = {name.lower() for name in judged.columns if not is_hidden(name)}
    keys = [key for key in found if key != RESCUED_FILE and key.lower() not in own]
    return tuple(keys[:_MAX_KEYS])
