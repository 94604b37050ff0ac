"""Rules that stop a batch while it is written, and the error that explains why."""

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
    broken_column,
    counts_of,
    described,
    stopping,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

STOPPED = "a row breaks a rule that stops the batch"
_ROWS = "rows"
_SAMPLES = 3
_MAX_VALUE = 60
_MAX_ROW = 160


def stops(rules: Rules) -> Column | None:
    """A filter that fails at the first row that breaks a stopping rule; true of all others.

    Use it as the first filter after the observation. None if no rule stops the batch.
    """
    broken = [col(broken_column(name)) for name in stopping(rules)]
    if not broken:
        return None
    failure = F.raise_error(F.lit(STOPPED)).cast("boolean")
    return F.when(reduce(or_, broken), failure).otherwise(F.lit(True))


def was_stopped(failure: BaseException) -> bool:
    """Whether a write failed because of a rule, by `stops`."""
    return STOPPED in str(failure)


def measured(rows: DataFrame, rules: Rules) -> Mapping[str, int]:
    """Counts judged rows in a separate pass.

    Returns:
        `rows`, and the counts of `observed`.
    """
    counts = rows.agg(F.count(F.lit(1)).alias(_ROWS), *observed(rules)).first()
    return {name: int(count) for name, count in (counts.asDict() if counts else {}).items()}


def explain_failure(rows: DataFrame, rules: Rules, keys: Sequence[str], table: str) -> DataError:
    """The error for a batch that was stopped by rules, with samples. Reads the batch again.

    Args:
        rows: the judged rows.
        keys: the columns that identify a row; if empty, whole rows are shown, shortened.
        table: `layer.name`.
    """
    counts = measured(rows, rules)
    total, broken = counts[_ROWS], counts_of(rules, counts)
    too_many = beyond(rules, broken, total)
    stopped = [name for name in stopping(rules) if broken[name]]
    failed = [name for name in rules if name in stopped or name in too_many]
    problems = [
        f"{broken[name]:,} of {total:,} rows{_limit(rules, name)} break {name} "
        f"({described(rules[name])}): {_samples(rows, name, keys)}"
        for name in failed
    ]
    settings = " ".join(
        f"--set {table}.expect.{name}."
        + ("at_most=100%" if name in too_many else "otherwise=quarantine")
        for name in failed
    )
    return DataError(
        f"{table}: "
        + ("\n  ".join(problems) if problems else f"{counts[ANY]:,} rows break rules now"),
        code="rule_failed_batch",
        untouched="nothing of the batch is visible",
        next_step="fix the files, or change the rule, in the config or here: "
        f"`medallion run {settings}`",
    )


def _limit(rules: Rules, name: str) -> str:
    at_most = rules[name].at_most
    return "" if at_most is None else f", where at most {format_share(at_most)} may,"


def _samples(rows: DataFrame, name: str, keys: Sequence[str]) -> str:
    visible = [column for column in rows.columns if " " not in column]
    wanted = [col(key).cast("string").alias(key) for key in keys or visible]
    found = rows.where(col(broken_column(name))).select(*wanted).limit(_SAMPLES).collect()
    return "; ".join(_shown(row) if keys else _cut(_shown(row), _MAX_ROW) for row in found)


def _shown(row: Row) -> str:
    return ", ".join(
        f"{name}={_cut('null' if value is None else value, _MAX_VALUE)}"
        for name, value in row.asDict().items()
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
