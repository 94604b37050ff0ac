"""SQL of measures: when two texts mean the same, and which are of a declared kind."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medallion_jobs.aggregate import Aggregation, text
from medallion_jobs.aggregate.measures import described
from medallion_jobs.aggregate.text import has_distinct, recognised
from medallion_jobs.config import GoldTable, Measure
from medallion_jobs.lake.tables import sql_text
from medallion_jobs.lake.tables.sql_text import normalised

SAME = [
    ("sum(quantity)", " SUM( quantity )\n"),
    ("count(DISTINCT user_id)", "COUNT(distinct   USER_ID)"),
    ("sum(a*b)", "sum( a * b )"),
    ("count_if(state = 'OK')", "COUNT_IF(state='OK')"),
    ("max(`A b`)", "MAX( `A b` )"),
]
OTHER = [
    ("sum(quantity)", "max(quantity)"),
    ("count(distinct a)", "count(distincta)"),
    ("count_if(state = 'OK')", "count_if(state = 'ok')"),
    ("count_if(state = 'a  b')", "count_if(state = 'a b')"),
    ("count_if(state = ' a')", "count_if(state = 'a')"),
    ('count_if(s = "A")', 'count_if(s = "a")'),
    ("max(`A`)", "max(`a`)"),
    (r"count_if(s = 'it\'S')", r"count_if(s = 'it\'s')"),
    ("count_if(s = 'it''S')", "count_if(s = 'it''s')"),
    ("count_if(s = 'a\\\nB')", "count_if(s = 'a\\\nb')"),
    ("sum(a+b)", "sum(a-b)"),
    ("sum(a_b)", "sum(a b)"),
]


@pytest.mark.parametrize(("one", "another"), SAME)
def test_case_and_white_space_do_not_matter(one: str, another: str) -> None:
    assert normalised(one) == normalised(another)


@pytest.mark.parametrize(("one", "another"), OTHER)
def test_all_else_does(one: str, another: str) -> None:
    assert normalised(one) != normalised(another)


@given(st.text("aA('\"`)\\ \n_=", max_size=20))
def test_twice_is_once(sql: str) -> None:
    assert normalised(normalised(sql)) == normalised(sql)


@given(st.lists(st.sampled_from(["Sum", "(", ")", "A", "*", "'A b'", "1"])), st.data())
def test_any_white_space_between_words_is_the_same(words: list[str], data: st.DataObject) -> None:
    spaces = st.text(" \t\n", min_size=1, max_size=3)
    spaced = "".join(word + data.draw(spaces) for word in words)
    assert normalised(spaced) == normalised(" ".join(words))


# SQL that is one call of a declared kind, and the measure that says the same.
TWINS = [
    ("sum(x)", {"sum": "x"}),
    (" SUM ( a + (b * 2) ) ", {"sum": "a + (b * 2)"}),
    ("count(*)", {"count": "*"}),
    ("count(1)", {"count": "1"}),
    ("count(DISTINCT user_id)", {"count_distinct": "user_id"}),
    ("count(distinct(a))", {"count_distinct": "(a)"}),
    ("min(`a ) b`)", {"min": "`a ) b`"}),
    ("max(coalesce(s, 'a)'))", {"max": "coalesce(s, 'a)')"}),
    ("avg(x)", {"avg": "x"}),
    ("approx_count_distinct(x)", {"approx_count_distinct": "x"}),
    ("sum(x) FILTER (WHERE s = ')')", {"sum": "x", "where": "s = ')'"}),
    ("count(*) filter(where (a) and (b))", {"count": "*", "where": "(a) and (b)"}),
    ("sum(struct(a, b).a)", {"sum": "struct(a, b).a"}),
    ("sum(a[0])", {"sum": "a[0]"}),
]
# SQL of which nothing can be said for certain.
OPAQUE = [
    "sum(a) + sum(b)",
    "sum(a) / count(*)",
    "(sum(a))",
    "sum(DISTINCT a)",
    "sum(ALL a)",
    "count(a, b)",
    "count(DISTINCT a, b)",
    "count(t.*)",
    "count()",
    "sum(*)",
    "count(DISTINCT *)",
    "sum(a) OVER (PARTITION BY b)",
    "sum(a) FILTER (WHERE b) + 1",
    "sum(a) FILTER (WHERE b",
    "sum(a) AS b",
    "sum(a",
    "sum(a))",
    "sum('a)",
    "sum(r'\\')",
    "sum(a -- )\n)",
    "sum(a /* ) */)",
    "approx_count_distinct(x, 0.01)",
    "sum(expr => a)",
    "sum((select 1))",
    "sumx(a)",
    "s.sum(a)",
    "stddev(a)",
    "if(sum(a) > 1, 'VIP', 'Regular')",
]


@pytest.mark.parametrize(("sql", "twin"), TWINS)
def test_sql_of_a_kind_is_told(sql: str, twin: dict[str, str]) -> None:
    assert recognised(Measure(sql=sql)) == Measure.model_validate(twin)


@pytest.mark.parametrize("sql", OPAQUE)
def test_other_sql_is_left_as_it_is(sql: str) -> None:
    assert recognised(Measure(sql=sql)) == Measure(sql=sql)


@given(st.text("sum(ax)*', \"`\\[]", max_size=14))
def test_what_is_told_can_be_put_together_again(inside: str) -> None:
    told = recognised(Measure(sql=f"sum({inside})"))
    assert told.kind is None or told.of == inside.strip()


def test_distinct_is_a_word_of_its_own() -> None:
    assert has_distinct("sum( Distinct a)")
    for other in ("count_if(a IS DISTINCT FROM b)", "count_if(s = 'distinct')", "sum(distinct_a)"):
        assert not has_distinct(other)


def test_what_a_state_is_made_of() -> None:
    plain = {"from": "silver.s", "group_by": ["a", "b"], "measures": {"n": " Count( * )"}}
    # To the letter what checkpoints have noted since there is gold.
    noted = {"mode": "complete", "group_by": "a, b", "measures.n": "count(*)"}
    assert Aggregation(GoldTable.model_validate(plain)).logic == noted
    more = {
        "where": "A > 1",
        "period": {"of": "at", "by": "day"},
        "time_zone": "Europe/Madrid",
        "columns": {"twice": "n * 2"},
        "layout": {"comment": "x"},
    }
    assert Aggregation(GoldTable.model_validate({**plain, **more})).logic == {
        **noted,
        "where": "a>1",
        "period": "day of at as day",
        "time_zone": "Europe/Madrid",
    }


def test_each_part_of_a_measure_is_said() -> None:
    parts = [
        {"count_distinct": "a"},
        {"count_distinct": "a", "where": "b"},
        {"approx_count_distinct": "a"},
        {"approx_count_distinct": "a", "error": 0.01},
        {"first": "a", "by": ["b"]},
        {"first": "a", "by": ["b", "c"]},
        {"last": "a", "by": ["b"]},
        {"sql": "sum(a)"},
    ]
    told = [described(Measure.model_validate(one)) for one in parts]
    assert len(set(told)) == len(told)


def test_its_examples() -> None:
    for module, examples in ((text, 2), (sql_text, 2)):
        assert doctest.testmod(module).attempted == examples
        assert doctest.testmod(module).failed == 0
