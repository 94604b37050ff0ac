"""How two logics differ, and which rows an older one has computed."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medallion_jobs.checkpoint import Logic, Stale
from medallion_jobs.checkpoint.logic import LogicChange, changes, recorded, stale

AT = datetime(2026, 1, 1, tzinfo=timezone.utc)


def free(**parts: object) -> Logic:
    return Logic(free={name: str(value) for name, value in parts.items()})


def differences(old: Logic, new: Logic) -> dict[str, tuple[str, str, str]]:
    return {one.part: (one.old, one.new, one.kind) for one in changes(old, new)}


LOOKUP = {"table": "silver.c", "on": {"id": "id"}, "take": {"region": "region"}}
OTHER = {**LOOKUP, "table": "silver.d"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"columns": {"a": "x", "b": "y"}}, {"columns": {"b": "y", "a": "x"}}),
        ({"columns": {"a": "SUM( x )"}}, {"columns": {"a": "sum(x)"}}),
        ({"cast": {"a": {"to": "DECIMAL(5, 2)"}}}, {"cast": {"a": {"to": "decimal(5,2)"}}}),
        ({"expect": {"r": {"check": "a > 1"}}}, {"expect": {"r": {"check": "A>1"}}}),
        ({"where": "a = 'X'  AND b > 1"}, {"where": "a='X' and\n b>1"}),
        ({"schema": "id INT,  name string"}, {"schema": "id int, name STRING"}),
        (
            {"lookups": [LOOKUP]},
            {"lookups": [{**LOOKUP, "take": {"region": "REGION"}, "on": {"id": " id "}}]},
        ),
        ({"lookups": [LOOKUP]}, {"lookups": [dict(reversed(LOOKUP.items()))]}),
        ({"columns": {"a": "b -- B\n+ 1"}}, {"columns": {"a": "b -- B\n+ 1 "}}),
    ],
)
def test_what_is_spelled_another_way_is_no_difference(old: dict, new: dict) -> None:
    assert changes(free(**old), free(**new)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"where": "a = 'X'"}, {"where": "a = 'x'"}),
        ({"columns": {"a": "b -- c\n + 1"}}, {"columns": {"a": "b -- c + 1"}}),
        ({"cast": {"a": {"formats": ["MM"]}}}, {"cast": {"a": {"formats": ["mm"]}}}),
        ({"columns": {"a": "x", "b": "a + 1"}}, {"columns": {"b": "a + 1", "a": "x"}}),
        ({"select": ["a", "b"]}, {"select": ["b", "a"]}),
        # Columns may have the names of keys.
        ({"columns": {"topics": "a"}}, {"columns": {"topics": "b"}}),
        ({"columns": {"max_age": "a"}}, {"columns": {"max_age": "b"}}),
        ({"rename": {"to": "a"}}, {"rename": {"to": "A"}}),
        (
            {"expect": {"r": {"in_set": {"check": ["a"]}, "otherwise": "drop"}}},
            {"expect": {"r": {"in_set": {"check": ["A"]}, "otherwise": "drop"}}},
        ),
        ({"lookups": [LOOKUP, OTHER]}, {"lookups": [OTHER, LOOKUP]}),
    ],
)
def test_what_may_give_other_rows_is_a_difference(old: dict, new: dict) -> None:
    assert {one.kind for one in changes(free(**old), free(**new))} == {"rows"}


def test_a_difference_is_named_by_its_key() -> None:
    old = free(columns={"a": "x", "gone": "z"}, where="a > 1", expect={"r": {"not_null": ["a"]}})
    new = free(
        columns={"a": "x + 1", "b": "y"},
        lookups=[LOOKUP],
        expect={"r": {"not_null": ["a"], "otherwise": "quarantine"}},
    )
    assert differences(old, new) == {
        "columns.a": ("x", "x + 1", "rows"),
        "columns.b": ("", "y", "rows"),
        "columns.gone": ("z", "", "rows"),
        "expect.r.otherwise": ("", "quarantine", "rows"),
        "lookups[silver.c]": (
            "",
            "table: silver.c, on: {id: id}, take: {region: region}",
            "rows",
        ),
        "where": ("a > 1", "", "rows"),
    }


def test_what_decides_no_value_leaves_rows_as_they_are() -> None:
    old = free(lookups=[{**LOOKUP, "max_age": "PT1H"}], expect={"r": {"check": "a > 1"}})
    new = free(
        lookups=[{**LOOKUP, "max_age": "PT2H"}],
        expect={"r": {"check": "a > 2"}, "s": {"check": "b"}},
        on_all_aside="fail",
    )
    assert {one.kind for one in changes(old, new)} == {"settings"}
    assert len(changes(old, new)) == 4
    strict = free(expect={"r": {"check": "a > 2", "otherwise": "drop"}})
    assert [one.kind for one in changes(old, strict) if "expect" in one.part] == ["rows", "rows"]


def test_the_state_and_settings_are_told_apart() -> None:
    old = Logic(state={"keys": "['a']"}, settings={"layout": "{'comment': 'x'}"})
    new = Logic(state={"keys": "['a', 'b']"}, settings={"layout": "{'comment': 'y'}"})
    assert differences(old, new) == {
        "keys": ("a", "a, b", "state"),
        "layout.comment": ("x", "y", "settings"),
    }


def test_what_an_older_manifest_does_not_know_is_no_difference() -> None:
    old = Logic(free={"format": "json"})
    hinted = {"format": "json", "schema_hints": "a int"}
    new = Logic(free=hinted, names_all=True, settings={"x": "1"})
    assert changes(old, new) == []
    assert changes(new, new.model_copy(update={"free": {**hinted, "schema_hints": ""}}))


# --- which rows are of an older logic


def history(*steps: tuple[int, dict[str, str]]) -> tuple[LogicChange, ...]:
    """The history of a query that started with these logics, each before this batch."""
    found: tuple[LogicChange, ...] = ()
    for (_, old), (batch, new) in pairwise(steps):
        found = recorded(found, changes(Logic(free=old), Logic(free=new)), batch, AT)
    return found


def test_rows_before_a_change_are_of_the_old_logic() -> None:
    changed = history((0, {"where": "a", "x": "1"}), (5, {"where": "b", "x": "1"}))
    assert stale(changed) == [Stale("where", "a", "b", 0, 5)]


def test_a_change_before_the_first_batch_leaves_nothing() -> None:
    assert history((0, {"where": "a"}), (0, {"where": "b"})) == ()


def test_a_change_that_is_taken_back_before_a_batch_leaves_nothing() -> None:
    assert history((0, {"x": "a"}), (5, {"x": "b"}), (5, {"x": "a"})) == ()


def test_back_to_the_first_logic_only_the_rows_between_are_old() -> None:
    changed = history((0, {"x": "a"}), (5, {"x": "b"}), (9, {"x": "a"}))
    assert stale(changed) == [Stale("x", "b", "a", 5, 9)]


TEXTS = st.sampled_from(["a", "b", "c", ""])
STARTS = st.lists(st.tuples(st.integers(0, 2), TEXTS, TEXTS), min_size=1, max_size=8)


@given(STARTS)
def test_it_agrees_with_a_look_at_every_batch(starts: list[tuple[int, str, str]]) -> None:
    made_by: list[dict[str, str]] = []
    steps: list[tuple[int, dict[str, str]]] = []
    for batches, x, y in starts:
        logic = {name: text for name, text in (("x", x), ("y", y)) if text}
        steps.append((len(made_by), logic))
        made_by += [logic] * batches
    now = steps[-1][1]
    found = {one.part: one for one in stale(history(*steps))}
    for part in ("x", "y"):
        old = [n for n, logic in enumerate(made_by) if logic.get(part) != now.get(part)]
        assert (part in found) == bool(old)
        if old:
            assert (found[part].since, found[part].before) == (old[0], old[-1] + 1)
            assert found[part].old == made_by[old[-1]].get(part, "")


def test_a_long_history_is_kept_short_and_forgets_no_old_row() -> None:
    steps = [
        (n, {"x": "ab"[n % 2], "y": str(n), "z": "old" if n < 1 else "new"}) for n in range(400)
    ]
    changed = history(*steps)
    assert len(changed) <= 100
    found = {one.part: one for one in stale(changed)}
    assert found.keys() == {"x", "y", "z"}
    assert (found["x"].before, found["y"].before) == (399, 399)
    assert found["z"].since == 0
