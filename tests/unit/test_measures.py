"""When two texts of a measure mean the same."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medallion_jobs.aggregate import measures, normalised

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


def test_its_examples() -> None:
    assert doctest.testmod(measures).attempted == 2
    assert doctest.testmod(measures).failed == 0
