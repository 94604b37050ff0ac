"""What a gold table may say, and what is refused, at which line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from medallion_jobs.config import ConfigError, GoldTable, Measure, Period, Problem, load

GOOD = """\
pipeline: web
bronze:
  clicks: {source: {format: json, schema: user_id bigint}}
silver:
  clicks:
    from: bronze.clicks
gold:
  users:
    from: silver.clicks
    group_by: [user_id]
    measures:
      clicks: count(*)
"""


def problem_of(folder: Path, *overrides: str) -> Problem:
    file = folder / "web.yaml"
    file.write_text(GOOD)
    with pytest.raises(ConfigError) as raised:
        load(file, overrides=overrides, environ={})
    (problem,) = raised.value.problems
    return problem


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("measures.m", "{sum: a, count: b}", "give exactly one of sql, sum"),
        ("measures.m", "{where: a}", "give exactly one of sql, sum"),
        ("measures.m", "{first: a}", "need `by`"),
        ("measures.m", "{sum: a, by: b}", "is only for first and last"),
        ("measures.m", "{sql: sum(a), where: b}", "FILTER"),
        ("measures.m", "{sum: a, error: 1%}", "`error` is only for"),
        ("measures.m", "{approx_count_distinct: a, error: 0.01%}", "0.1% to 39%"),
        ("measures.m", "{approx_count_distinct: a, error: 40%}", "0.1% to 39%"),
        ("measures.m", "{count_distinct: '*'}", "`*` is only for count"),
        ("period", "{of: at, by: session}", "session needs a `gap`"),
        ("period", "{of: at, by: day, gap: 5m}", "session needs a `gap`"),
        ("time_zone", "Europe/Atlantis", "unknown time zone"),
    ],
)
def test_what_contradicts_itself(tmp_path: Path, key: str, value: str, what: str) -> None:
    problem = problem_of(tmp_path, f"gold.users.{key}={value}")
    assert problem.path == f"gold.users.{key}"
    assert str(problem.origin) == "--set"
    assert what in problem.what + problem.allowed


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"group_by": None}, "give `group_by`, `period` or both"),
        (
            {"group_by": None, "period": {"of": "at", "by": "session", "gap": "5m"}},
            "such as a user",
        ),
        ({"time_zone": "Europe/Madrid"}, "`time_zone` needs a `period`"),
        ({"group_by": ["a", "A"]}, "named a"),
        ({"measures": {"A": "count(*)"}}, "named a"),
        ({"columns": {"N": "n * 2"}}, "named n"),
        ({"period": {"of": "at", "by": "day", "name": "n"}}, "named n"),
        (
            {
                "period": {"of": "at", "by": "session", "gap": "5m"},
                "columns": {"session_end": "1"},
            },
            "named session_end",
        ),
    ],
)
def test_what_does_not_go_together(changes: dict[str, object], what: str) -> None:
    plain = {"from": "silver.s", "group_by": ["a"], "measures": {"n": "count(*)"}}
    with pytest.raises(ValidationError, match=what):
        GoldTable.model_validate({**plain, **changes})


def test_an_unknown_word_of_a_measure_is_told_as_such(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, "gold.users.measures.m={count_distinkt: a}")
    assert (problem.path, problem.what) == (
        "gold.users.measures.m.count_distinkt",
        "unknown key",
    )


def test_a_text_is_sql() -> None:
    table = {"from": "silver.s", "group_by": ["a"], "measures": {"n": "count(*)"}}
    assert GoldTable.model_validate(table).measures == {"n": Measure(sql="count(*)")}


def test_a_table_that_is_dumped_is_read_again() -> None:
    said = {"from": "silver.s", "group_by": ["a"], "measures": {"n": {"sum": "x"}}}
    table = GoldTable.model_validate(said)
    assert GoldTable.model_validate(table.model_dump(mode="json", by_alias=True)) == table


def test_a_periods_columns() -> None:
    day = Period.model_validate({"of": "at", "by": "day"})
    named = Period.model_validate({"of": "at", "by": "week", "name": "sold"})
    session = Period.model_validate({"of": "at", "by": "session", "gap": "30m", "name": "visit"})
    assert day.columns == ("day",)
    assert named.columns == ("sold",)
    assert session.columns == ("visit_start", "visit_end")
