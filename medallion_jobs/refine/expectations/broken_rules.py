"""Expectations: marks that tell which rows break which rule, and what is read from them.

A mark is a hidden column, `rule NAME`: true where the row breaks the rule, never null. Marks
are made once, by `judged`. Put the counts of `observed` right behind, before any filter: Spark
moves no expression across an observation, so that each rule is evaluated once a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.config import Expectation
from medallion_jobs.lake.tables.sql import col, column, over_row
from medallion_jobs.refine.expectations.checks import good, types_of
from medallion_jobs.refine.expectations.keys import with_repeated, with_strangers
from medallion_jobs.refine.expectations.rules import ANY, Rules, mark, measure, said

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_MOST_TEXT = 80


def judged(
    rows: DataFrame,
    rules: Rules,
    *,
    moment: datetime,
    references: Mapping[str, DataFrame],
    existing: DataFrame | None,
    misfits: Mapping[str, Column] | None = None,
) -> DataFrame:
    """The rows, with a mark for each rule.

    Args:
        moment: the batch's, with a time zone; `recent` counts from it.
        references: by rule, the distinct keys of the dimension that it names.
        existing: the table that the rows are for; None where there is none yet.
        misfits: by rule, whether a value that it looks at did not fit its column; never null.

    Raises:
        UsageError: a rule compares a column of numbers with a text that is none.
    """
    types = types_of(rows)
    marks: dict[str, Column] = {}
    for name, rule in rules.items():
        if rule.references is not None:
            rows = with_strangers(rows, mark(name), rule.references, references[name])
        elif rule.unique is not None:
            apart = (misfits or {}).get(name, F.lit(False))
            rows = with_repeated(rows, mark(name), rule.unique, existing, apart)
        elif rule.not_rescued is not None:
            rows.select(*map(col, rule.not_rescued))  # raises where there is no such column
            marks[mark(name)] = (misfits or {}).get(name, F.lit(False))
        else:
            marks[mark(name)] = ~good(rule, types, moment)
    return rows.withColumns(marks) if marks else rows


def observed(rules: Rules) -> list[Column]:
    """Counts to observe on judged rows: of each rule, and of rows that break any; none of none."""
    each = [F.count_if(col(mark(name))).alias(measure(name)) for name in rules]
    return [*each, F.count_if(_any(rules)).alias(ANY)] if rules else []


def with_action(rules: Rules, action: str) -> Column:
    """True where a row breaks a rule of this action; never null."""
    return _any(name for name, rule in rules.items() if rule.otherwise == action)


def _any(names: Iterable[str]) -> Column:
    # As text: a call to the JVM for each operator would be felt in small batches.
    return F.expr(" OR ".join(column(mark(name)) for name in names) or "false")


def names(rules: Rules) -> Column:
    """The names of the rules that a row breaks, in the order of the config."""
    return F.array_compact(F.array(*(_where(name, F.lit(name)) for name in rules)))


def reasons(rows: DataFrame, rules: Rules) -> Column:
    """Why, for each of `names`: `known_status: status=x, not (status in 'new', 'paid')`."""
    told = [
        _where(name, F.concat(F.lit(f"{name}: "), _reason(rows, rule)))
        for name, rule in rules.items()
    ]
    return F.array_compact(F.array(*told))


def _where(name: str, value: Column) -> Column:
    return F.when(col(mark(name)), value)


def _reason(rows: DataFrame, rule: Expectation) -> Column:
    if rule.check is not None:
        return F.lit(f"not ({said(rule)})")
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
        looked_at = rule.in_set or rule.matches or rule.between or rule.recent or {}
        values, fault = {name: col(name) for name in looked_at}, f", not ({said(rule)})"
    shown = [F.concat(F.lit(f"{name}="), _text(value)) for name, value in values.items()]
    return F.concat(F.concat_ws(", ", *shown), F.lit(fault))


def _text(value: Column) -> Column:
    return F.coalesce(F.substring(value.cast("string"), 1, _MOST_TEXT), F.lit("null"))
