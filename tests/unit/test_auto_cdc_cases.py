"""The cases of `apply_changes` in tests/data: well formed, and each with the rows it must have."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from support.auto_cdc import (
    END_AT,
    START_AT,
    Oracle,
    Row,
    as_set,
    cases,
    columns_of,
    fields_of,
    wanted,
)

Case = dict[str, Any]

ALWAYS = {
    "name",
    "topic",
    "source",
    "schema",
    "keys",
    "sequence_by",
    "apply_as_deletes",
    "apply_as_truncates",
    "ignore_null_updates",
    "column_list",
    "except_column_list",
    "stored_as_scd_type",
    "track_history_column_list",
    "track_history_except_column_list",
    "batches",
    "differs",
}
REFUSED = {
    "key_not_in_columns",
    "no_keys",
    "null_key",
    "null_sequence",
    "reserved_column",
    "sequence_not_orderable",
    "track_history_needs_scd2",
    "truncate_with_scd2",
    "two_column_lists",
    "two_track_lists",
    "unknown_column",
}
# Types of values by the first word of their column's type; decimals and times are text.
PYTHON = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), int),
    **dict.fromkeys(("string", "decimal", "date", "timestamp"), str),
    "double": float,
    "boolean": bool,
    "array": list,
    "map": dict,
}


def with_rows() -> list[Case]:
    """The cases that come to rows, not to an error."""
    return [case for case in cases() if isinstance(wanted(case), list)]


def names(found: list[Case]) -> list[str]:
    return [case["name"] for case in found]


def is_of(value: Any, kind: str) -> bool:
    """Whether a JSON value can be one of this type."""
    if value is None:
        return True
    fields = fields_of(kind)
    if fields is not None:
        return list(value) == list(fields) and all(is_of(value[n], k) for n, k in fields.items())
    return type(value) is PYTHON[kind.partition("<")[0].partition("(")[0]]


def table_of(case: Case) -> dict[str, str]:
    """The columns of the table, with their types."""
    oracle = Oracle(case)
    of_sequence = {name: oracle.types[name] for name in oracle.sequence}
    inside = ", ".join(f"{name}: {kind}" for name, kind in of_sequence.items())
    is_struct = isinstance(case["sequence_by"], list)
    sequence = f"struct<{inside}>" if is_struct else of_sequence[oracle.sequence[0]]
    history = dict.fromkeys((START_AT, END_AT), sequence) if oracle.has_history else {}
    return {name: oracle.types[name] for name in oracle.columns} | history


def wrong_rows(case: Case) -> Iterator[str]:
    schema = columns_of(case["schema"])
    given = [(schema, row) for batch in case["batches"] for row in batch]
    made = [row for key in ("expected", "ours") for row in case.get(key) or ()]
    for columns, row in [*given, *((table_of(case), row) for row in made)]:
        if list(row) != list(columns):
            yield f"{case['name']}: has {list(row)}, not {list(columns)}"
        elif not all(is_of(row[name], kind) for name, kind in columns.items()):
            yield f"{case['name']}: {row} is not of {columns}"


def test_there_are_enough_of_both_kinds() -> None:
    kinds = Counter(case["stored_as_scd_type"] for case in cases())
    assert kinds.keys() == {1, 2}
    assert kinds.total() >= 100
    assert kinds[2] >= kinds.total() / 2


def test_names_are_unique() -> None:
    assert [name for name, times in Counter(names(cases())).items() if times > 1] == []


def test_each_case_has_its_fields_and_a_source() -> None:
    wrong = [
        case
        for case in cases()
        if case.keys() - {"expected", "error", "ours"} != ALWAYS
        or ("expected" in case) == ("error" in case)
        or not case["name"].startswith(f"scd{case['stored_as_scd_type']}_")
        or not case["source"].startswith(("apache/spark ", "Databricks guide: "))
    ]
    assert names(wrong) == []


def test_errors_are_known_and_each_has_a_case() -> None:
    assert {case["error"] for case in cases() if "error" in case} == REFUSED


def test_a_case_that_differs_has_a_reason_and_our_rows() -> None:
    wrong = [case for case in cases() if bool(case["differs"]) != ("ours" in case)]
    assert names(wrong) == []
    assert any(case["differs"] for case in cases())


def test_rows_have_the_columns_and_types_of_their_schema() -> None:
    assert [problem for case in cases() for problem in wrong_rows(case)] == []


def test_rows_are_what_the_changes_come_to() -> None:
    wrong = [case for case in with_rows() if as_set(Oracle(case).table()) != as_set(wanted(case))]
    assert names(wrong) == []


def test_neither_order_nor_batches_matter() -> None:
    chosen = random.Random(7)
    wrong = []
    for case in with_rows():
        changes = [row for batch in case["batches"] for row in batch]
        chosen.shuffle(changes)
        for batches in ([[change] for change in changes], [changes], case["batches"][::-1]):
            if as_set(Oracle(case).table(batches)) != as_set(wanted(case)):
                wrong.append(case)
    assert names(wrong) == []


def test_versions_of_a_key_follow_each_other() -> None:
    """No two versions of a key overlap, none is empty, and only the last one has no end."""
    wrong = []
    for case in with_rows():
        oracle = Oracle(case)
        by_key: dict[tuple[Any, ...], list[Row]] = {}
        for row in wanted(case):
            by_key.setdefault(tuple(row[name] for name in oracle.keys), []).append(row)
        if not all(follow_each_other(oracle, rows) for rows in by_key.values()):
            wrong.append(case)
    assert names(wrong) == []


def follow_each_other(oracle: Oracle, rows: list[Row]) -> bool:
    if not oracle.has_history:
        return len(rows) == 1
    last = ((2,),)  # above all sequences
    spans = sorted(
        (oracle.place(row[START_AT]), last if row[END_AT] is None else oracle.place(row[END_AT]))
        for row in rows
    )
    return all(start < end for start, end in spans) and all(
        end <= following for (_, end), (following, _) in pairwise(spans)
    )
