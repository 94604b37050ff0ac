"""Rules of a table in words and numbers: what each says, and what a batch came to. No Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from medallion_jobs.config import Expectation
from medallion_jobs.config.units import format_share, format_time
from medallion_jobs.observe.rule_table import RuleCount

Rules = Mapping[str, Expectation]

_MOST_VALUES = 10
# The observed count of rows that break any rule; those of one rule have its name behind it.
ANY = "broken"


def mark(name: str) -> str:
    """The hidden column that is true where a row breaks a rule."""
    return f"rule {name}"


def measure(name: str) -> str:
    """What the count of a rule's broken rows is called where it is observed."""
    return f"{ANY} {name}"


def said(rule: Expectation) -> str:
    """What a rule checks, in one line, as `quantity > 0` or `status in 'new', 'paid'`."""
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
        listed = ", ".join(_value(value) for value in values[:_MOST_VALUES])
        more = len(values) - _MOST_VALUES
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
    """Names of the rules of which one broken row stops the batch."""
    return [n for n, rule in rules.items() if rule.otherwise == "fail" and rule.at_most is None]


def counts_of(rules: Rules, observed: Mapping[str, Any]) -> dict[str, int]:
    """Broken rows by rule, from what was observed."""
    return {name: int(observed[measure(name)] or 0) for name in rules}


def beyond(rules: Rules, counts: Mapping[str, int], rows: int) -> list[str]:
    """Names of the rules that more of a batch's rows break than `at_most` allows."""
    return [
        name
        for name, rule in rules.items()
        if rule.at_most is not None and counts[name] > rule.at_most * rows
    ]


def remarks(rules: Rules, counts: Mapping[str, int], rows: int) -> tuple[str, ...]:
    """The broken rules in words; those that every row keeps need none."""
    return tuple(
        f"{counts[name]:,} of {rows:,} rows break {name} ({_done(rule)})"
        for name, rule in rules.items()
        if counts[name]
    )


def _done(rule: Expectation) -> str:
    if rule.otherwise == "fail" and rule.at_most is not None:
        return f"at most {format_share(rule.at_most)}"
    return rule.otherwise


def told(rules: Rules, counts: Mapping[str, int], rows: int) -> list[RuleCount]:
    """What is noted of a batch: a row for each rule, also of those that nothing broke."""
    return [
        RuleCount(name, said(rule), rule.otherwise, rows, counts[name])
        for name, rule in rules.items()
    ]
