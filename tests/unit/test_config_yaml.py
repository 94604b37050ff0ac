"""Reading YAML: lines, YAML 1.2, and everything that is refused."""

import pytest

from medallion_jobs.config.problems import Problem
from medallion_jobs.config.tree import Node
from medallion_jobs.config.yaml_text import parse


def values(text: str) -> dict[str, Node]:
    root, problems = parse(text, "x.yaml")
    assert problems == []
    assert root is not None
    assert isinstance(root.value, dict)
    return root.value


def only_problem(text: str) -> Problem:
    _, problems = parse(text, "x.yaml")
    assert len(problems) == 1, problems
    return problems[0]


def test_each_value_has_the_line_of_its_key() -> None:
    found = values("# comment\na: 1\n\nb: >-\n  two\n  lines\nc:\n  - x\n  - y\n")
    assert [str(node.origin) for node in found.values()] == ["x.yaml:2", "x.yaml:4", "x.yaml:7"]
    assert isinstance(found["c"].value, list)
    assert [item.origin.line for item in found["c"].value] == [8, 9]


def test_yaml_1_2_keeps_on_yes_and_dates_as_text() -> None:
    found = values("on: yes\nday: 2024-01-01\nnumber: 017\nflag: true\nnothing:\n")
    assert {key: node.value for key, node in found.items()} == {
        "on": "yes",
        "day": "2024-01-01",
        "number": 17,
        "flag": True,
        "nothing": None,
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: c: d\n", 2),
        ("a: [1,\n", 1),
        ("a: 1\n\tb: 2\n", 2),
        ("a: 1\nb: *nobody\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
    ],
)
def test_broken_yaml_is_told_with_its_line(text: str, line: int) -> None:
    root, problems = parse(text, "x.yaml")
    assert root is None
    assert [problem.what.startswith("not YAML: ") for problem in problems] == [True]
    assert abs((problems[0].origin.line or 0) - line) <= 1


def test_control_characters_are_not_yaml() -> None:
    assert "characters" in only_problem("a: \x00\n").what


def test_a_key_that_is_there_twice_names_both_lines() -> None:
    problem = only_problem("a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert (problem.path, problem.origin.line) == ("a.b", 4)
    assert "x.yaml:2" in problem.what


@pytest.mark.parametrize(
    "value",
    [
        "!!python/name:os.system x",
        "!!python/object/apply:os.system [id]",
        "!mine x",
        "!!binary aGk=",
        "!!set {a, b}",
    ],
)
def test_a_tag_is_refused(value: str) -> None:
    problem = only_problem(f"a: 1\nb: {value}\n")
    assert (problem.path, problem.origin.line) == ("b", 2)
    assert "tag" in problem.what


def test_a_tag_that_its_value_belies_is_told() -> None:
    assert "!!int" in only_problem("a: !!int many\n").what


def test_a_mapping_as_a_key_is_refused() -> None:
    assert "key" in only_problem("? {a: 1}\n: 2\n").what


def test_aliases_may_be_used_but_not_for_a_billion_laughs() -> None:
    aliased = values("a: &x {b: 1}\nc: *x\n")
    assert aliased["c"].value == aliased["a"].value
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
    )
    root, problems = parse(bomb, "x.yaml")
    assert root is None
    assert "aliases" in problems[0].what


@pytest.mark.parametrize(
    "text", ["a: &a [*a]\n", "a: " + "[" * 400 + "]" * 400, "a: " + "{b: " * 60 + "1" + "}" * 60]
)
def test_values_nested_without_end_are_refused(text: str) -> None:
    root, problems = parse(text, "x.yaml")
    assert root is None
    assert "nested" in problems[0].what


def test_a_text_of_more_than_a_mebibyte_is_not_read() -> None:
    assert "1 MiB" in only_problem("a: " + "x" * (1 << 20)).what


def test_an_empty_text_is_an_empty_config() -> None:
    root, problems = parse("# nothing\n", "x.yaml")
    assert root is not None
    assert (root.value, problems) == (None, [])
