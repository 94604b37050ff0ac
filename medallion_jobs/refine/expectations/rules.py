"""The rules of a table as text, and their counts in a batch. Runs without Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from medallion_jobs.config import Expectation
from medallion_jobs.config.units import format_share, format_time
from medallion_jobs.observe.rule_table import RuleCount

Rules = Mapping[str, Expectation]

_MAX_VALUES = 10
# The observed count of rows that break any rule; counts of one rule are named `broken RULE`.
ANY = "broken"


def broken_column(name: str) -> str:
    """The hidden column that is true if a row breaks the rule."""
    return f"rule {name}"


def measure(name: str) -> str:
    """The name of the observed count of rows that break the rule."""
    return f"{ANY} {name}"


def described(rule: Expectation) -> str:
    """What a rule checks, in one line, such as `quantity > 0` or `status in 'new', 'paid'`."""
    if rule.check is not None:
        return " ".join(rule.check.split())
    if rule.not_null is not None:
        return f"{', '.join(rule.not_null)} not null"
    if rule.not_rescued is not None:
        return f"{', '.join(rule.not_rescued)} not rescued"
    if rule.unique is not None:
        return f"{', '.join(rule.unique)} unique"
    if rule.references is not None:
        return f"{', '.join(rule.references.on.values())} in {rule.references.table}"
    return " and ".join(_of_columns(rule))


def _of_columns(rule: Expectation) -> Iterable[str]:
    for column, values in (rule.in_set or {}).items():
        listed = ", ".join(_value(value) for value in values[:_MAX_VALUES])
        more = len(values) - _MAX_VALUES
        yield f"{column} in {listed}" + (f" and {more:,} more" if more > 0 else "")
    for column, pattern in (rule.matches or {}).items():
        yield f"{column} matches {pattern}"
    for column, (least, most) in (rule.between or {}).items():
        yield f"{column} between {_value(least)} and {_value(most)}"
    for column, span in (rule.recent or {}).items():
        yield f"{column} within {format_time(span)} before its batch"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(value)


def stopping(rules: Rules) -> list[str]:
    """Names of the rules that stop the batch at the first row that breaks them."""
    return [n for n, rule in rules.items() if rule.otherwise == "fail" and rule.at_most is None]


def counts_of(rules: Rules, observed: Mapping[str, Any]) -> dict[str, int]:
    """How many rows break each rule, from the observed counts."""
    return {name: int(observed[measure(name)] or 0) for name in rules}


def beyond(rules: Rules, counts: Mapping[str, int], rows: int) -> list[str]:
    """Names of the rules that more rows of a batch break than `at_most` allows."""
    return [
        name
        for name, rule in rules.items()
        if rule.at_most is not None and counts[name] > rule.at_most * rows
    ]


def remarks(rules: Rules, counts: Mapping[str, int], rows: int) -> tuple[str, ...]:
    """A remark for each rule that a row breaks."""
    return tuple(
        f"{counts[name]:,} of {rows:,} rows break {name} ({_action(rule)})"
        for name, rule in rules.items()
        if counts[name]
    )


def _action(rule: Expectation) -> str:
    if rule.otherwise == "fail" and rule.at_most is not None:
        return f"at most {format_share(rule.at_most)}"
    return rule.otherwise


def rule_counts(rules: Rules, counts: Mapping[str, int], rows: int) -> list[RuleCount]:
    """The rows of a batch for `metrics.quality`: one for each rule, broken or not."""
    return [
        RuleCount(name, described(rule), rule.otherwise, rows, counts[name])
        for name, rule in rules.items()
    ]
