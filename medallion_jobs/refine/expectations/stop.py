"""Rules that stop a batch: within the pass that writes it, and the error that tells why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.config.units import format_share
from medallion_jobs.errors import DataError
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.expectations.broken_rules import observed
from medallion_jobs.refine.expectations.rules import (
    ANY,
    Rules,
    beyond,
    counts_of,
    mark,
    said,
    stopping,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

STOPPED = "a row breaks a rule that stops the batch"
_ROWS = "rows"
_SAMPLES = 3
_MOST_VALUE = 60
_MOST_ROW = 160


def stops(rules: Rules) -> Column | None:
    """True of a row that breaks no rule which stops the batch; it fails at the first that does.

    To be put as the first filter behind the observation. None where no rule does that.
    """
    marks = [col(mark(name)) for name in stopping(rules)]
    if not marks:
        return None
    failure = F.raise_error(F.lit(STOPPED)).cast("boolean")
    return F.when(reduce(or_, marks), failure).otherwise(F.lit(True))


def was_stopped(failure: BaseException) -> bool:
    """Whether what a write failed of is a rule, by `stops`."""
    return STOPPED in str(failure)


def measured(rows: DataFrame, rules: Rules) -> Mapping[str, int]:
    """The judged rows and the broken ones, counted in a pass of their own.

    Returns:
        `rows`, and what `observed` gives.
    """
    counts = rows.agg(F.count(F.lit(1)).alias(_ROWS), *observed(rules)).first()
    return {name: int(count) for name, count in (counts.asDict() if counts else {}).items()}


def explain_failure(rows: DataFrame, rules: Rules, keys: Sequence[str], table: str) -> DataError:
    """The error for a batch that rules have stopped. Reads the batch again.

    Args:
        rows: the judged rows.
        keys: the columns that tell a row apart; where there are none, rows are shown in short.
        table: `layer.name`.
    """
    counts = measured(rows, rules)
    total, broken = counts[_ROWS], counts_of(rules, counts)
    too_many = beyond(rules, broken, total)
    stopped = [name for name in stopping(rules) if broken[name]]
    failed = [name for name in rules if name in stopped or name in too_many]
    told = [
        f"{broken[name]:,} of {total:,} rows{_limit(rules, name)} break {name} "
        f"({said(rules[name])}): {_samples(rows, name, keys)}"
        for name in failed
    ]
    settings = " ".join(
        f"--set {table}.expect.{name}."
        + ("at_most=100%" if name in too_many else "otherwise=quarantine")
        for name in failed
    )
    return DataError(
        f"{table}: " + ("\n  ".join(told) if told else f"{counts[ANY]:,} rows break rules now"),
        untouched="nothing of the batch is visible",
        next_step="mend the files, or change the rule, here or in the config: "
        f"`medallion run {settings}`",
    )


def _limit(rules: Rules, name: str) -> str:
    at_most = rules[name].at_most
    return "" if at_most is None else f", where at most {format_share(at_most)} may,"


def _samples(rows: DataFrame, name: str, keys: Sequence[str]) -> str:
    visible = [column for column in rows.columns if " " not in column]
    wanted = [col(key).cast("string").alias(key) for key in keys or visible]
    found = rows.where(col(mark(name))).select(*wanted).limit(_SAMPLES).collect()
    return "; ".join(_shown(one) if keys else _cut(_shown(one), _MOST_ROW) for one in found)


def _shown(row: Row) -> str:
    return ", ".join(
        f"{name}={_cut('null' if value is None else value, _MOST_VALUE)}"
        for name, value in row.asDict().items()
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
