"""The rows that break rules: hidden columns, and the counts and texts made from them.

Each rule has a hidden column, `rule NAME`: true if the row breaks the rule, never null. `judged`
adds them. Call `.observe(*observed(...))` directly on its result, before any filter. Otherwise
Spark may compute each rule twice for each row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.config import Expectation
from medallion_jobs.lake.tables.sql import col, column, over_row
from medallion_jobs.refine.expectations.checks import good, types_of
from medallion_jobs.refine.expectations.keys import with_duplicates, with_unmatched
from medallion_jobs.refine.expectations.rules import ANY, Rules, broken_column, described, measure

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_MAX_TEXT = 80


def judged(
    rows: DataFrame,
    rules: Rules,
    *,
    moment: datetime,
    references: Mapping[str, DataFrame],
    existing: DataFrame | None,
    misfits: Mapping[str, Column] | None = None,
) -> DataFrame:
    """Adds the hidden column of each rule.

    Args:
        moment: when the batch started, with a time zone; `recent` counts from it.
        references: by rule, the distinct keys of the dimension that it names.
        existing: the target table before the batch; None if no rule needs it.
        misfits: by rule, whether a value that it reads did not fit its column; never null.

    Raises:
        UsageError: a rule compares a numeric column with a text that is no number.
    """
    types = types_of(rows)
    broken: dict[str, Column] = {}
    for name, rule in rules.items():
        if rule.references is not None:
            rows = with_unmatched(rows, broken_column(name), rule.references, references[name])
        elif rule.unique is not None:
            misfit = (misfits or {}).get(name, F.lit(False))
            rows = with_duplicates(rows, broken_column(name), rule.unique, existing, misfit)
        elif rule.not_rescued is not None:
            rows.select(*map(col, rule.not_rescued))  # raises if there is no such column
            broken[broken_column(name)] = (misfits or {}).get(name, F.lit(False))
        else:
            broken[broken_column(name)] = ~good(rule, types, moment)
    return rows.withColumns(broken) if broken else rows


def observed(rules: Rules) -> list[Column]:
    """Counts to observe on judged rows: of each rule, and of rows that break any."""
    each = [F.count_if(col(broken_column(name))).alias(measure(name)) for name in rules]
    return [*each, F.count_if(_any(rules)).alias(ANY)] if rules else []


def with_action(rules: Rules, action: str) -> Column:
    """Whether a row breaks a rule with this action; never null."""
    return _any(name for name, rule in rules.items() if rule.otherwise == action)


def _any(names: Iterable[str]) -> Column:
    # As SQL text: one JVM call for each operator would slow down small batches.
    return F.expr(" OR ".join(column(broken_column(name)) for name in names) or "false")


def names(rules: Rules) -> Column:
    """The names of the rules that a row breaks, in the order of the config (array<string>)."""
    return F.array_compact(F.array(*(_where(name, F.lit(name)) for name in rules)))


def reasons(rows: DataFrame, rules: Rules) -> Column:
    """A reason for each of `names`: `known: status=x, not (status in 'new', 'paid')`."""
    texts = [
        _where(name, F.concat(F.lit(f"{name}: "), _reason(rows, rule)))
        for name, rule in rules.items()
    ]
    return F.array_compact(F.array(*texts))


def _where(name: str, value: Column) -> Column:
    return F.when(col(broken_column(name)), value)


def _reason(rows: DataFrame, rule: Expectation) -> Column:
    if rule.check is not None:
        return F.lit(f"not ({described(rule)})")
    if rule.not_null is not None:
        nulls = (F.when(col(name).isNull(), F.lit(name)) for name in rule.not_null)
        return F.concat(F.concat_ws(", ", *nulls), F.lit(" is null"))
    if rule.not_rescued is not None:
        return F.lit(f"{', '.join(rule.not_rescued)}: a value did not fit")
    if rule.unique is not None:
        values, fault = {name: col(name) for name in rule.unique}, " is not unique"
    elif rule.references is not None:
        values = {sql: over_row(rows, sql) for sql in rule.references.on.values()}
        fault = f" is not in {rule.references.table}"
    else:
        columns = rule.in_set or rule.matches or rule.between or rule.recent or {}
        values, fault = {name: col(name) for name in columns}, f", not ({described(rule)})"
    shown = [F.concat(F.lit(f"{name}="), _text(value)) for name, value in values.items()]
    return F.concat(F.concat_ws(", ", *shown), F.lit(fault))


def _text(value: Column) -> Column:
    return F.coalesce(F.substring(value.cast("string"), 1, _MAX_TEXT), F.lit("null"))
