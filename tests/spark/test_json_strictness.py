"""What Spark's JSON reader takes for good, and bronze does not: R1 to R7 of the failure list.

Each line has a fate: it is bad and goes to quarantine as a whole, or it is a row, in which
a value that does not fit its column is null and kept in `_rescued_data`.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from support.lake import Lake

COLUMNS = "id string, n int, price decimal(10,2), ratio double, at timestamp, on_sale boolean"

BAD = {
    # R1: no JSON
    "cut short": '{"id": "x", "n": 1',
    "plain text": "ERROR upstream timed out",
    "names without quotes": '{id: "x"}',
    "single quotes": "{'id': 'x'}",
    "a comma too many": '{"id": "x",}',
    "a comment": '{"id": "x"} // note',
    "a raw tab in a text": '{"id": "a\tb"}',
    "a leading zero": '{"id": "x", "n": 01}',
    "a leading plus": '{"id": "x", "n": +1}',
    "half of a pair in a key": '{"\\ud83d": 1}',
    "half of a pair in an inner key": '{"id": {"a\\ud83d" : 1}}',
    "an unknown escape": '{"id": "\\x"}',
    "only an opening brace": "{",
    "a member of a printed object": '  "n": {"a": [1, 2]},',
    "only a closing bracket": "]",
    # R1: JSON, but no object
    "an array": '[{"id": "x"}]',
    "null": "null",
    "a number": "42",
    "a text": '"id"',
    "an empty array": "[]",
    # R2: more than one object, or an object and something else
    "two objects": '{"id": "a"}{"id": "b"}',
    "two objects and a space": '{"id": "a"} {"id": "b"}',
    "two objects and a comma": '{"id": "a"},{"id": "b"}',
    "text behind": '{"id": "a"} <EOF>',
    "a comma behind": '{"id": "a"},',
    "a brace behind": '{"id": "a"}}',
    "a bracket behind": '{"id": "a"}]',
    "brackets closed and opened": '{"id": "a"}],[{"id": "b"}',
    "text behind a bracket": '{"id": "a"}] <EOF>',
    "a null behind": '{"id": "a"}, null',
    "a null before": 'null, {"id": "a"}',
    # R3: a repeated key
    "a key twice": '{"id": "a", "id": "b"}',
    "a key twice with one value": '{"id": "a", "n": 1, "n": 1}',
    "an unknown key twice": '{"id": "a", "z": 1, "z": 2}',
    "a key twice, once escaped": '{"id": "a", "\\u0069d": "b"}',
    # R6: numbers that JSON does not have
    "NaN": '{"id": "x", "ratio": NaN}',
    "Infinity": '{"id": "x", "ratio": Infinity}',
    "-Infinity": '{"id": "x", "ratio": -Infinity}',
}


class Fate(NamedTuple):
    """The columns that are not null, and what is rescued."""

    values: dict[str, Any]
    rescued: dict[str, str | None] | None = None


GOOD = {
    # R4: keys are as they are written
    "nothing": ("{}", Fate({})),
    "missing": ('{"n": 1}', Fate({"n": 1})),
    "given as null": ('{"n": 1, "ratio": null}', Fate({"n": 1})),
    "another case": ('{"ID": "x", "n": 1}', Fate({"n": 1}, {"ID": "x"})),
    "unknown": ('{"n": 1, "new": [1, 2]}', Fate({"n": 1}, {"new": "[1, 2]"})),
    "unknown and null": ('{"n": 1, "new": null}', Fate({"n": 1}, {"new": None})),
    # R5: another type; a text that says a whole number is one
    "a number as text": ('{"n": "7"}', Fate({"n": 7})),
    "a fraction": ('{"n": 1.9}', Fate({}, {"n": "1.9"})),
    "a whole fraction": ('{"n": 1.0}', Fate({"n": 1})),
    "a whole number with an exponent": ('{"n": 1e2}', Fate({}, {"n": "1e2"})),
    "leading zeros": ('{"n": "0010", "ratio": "01.5"}', Fate({}, {"n": "0010", "ratio": "01.5"})),
    "a plus sign": ('{"n": "+5", "price": "+5"}', Fate({}, {"n": "+5", "price": "+5"})),
    "a Java double": ('{"ratio": "1d"}', Fate({}, {"ratio": "1d"})),
    "a boolean": ('{"n": true}', Fate({}, {"n": "true"})),
    "an object": ('{"n": {"a": 1}}', Fate({}, {"n": '{"a": 1}'})),
    "an empty text": ('{"n": "", "at": ""}', Fate({}, {"n": "", "at": ""})),
    "anything in a text": ('{"id": {"a": [1, true]}}', Fate({"id": '{"a": [1, true]}'})),
    # R6: what no double can hold
    "NaN as text": ('{"ratio": "NaN"}', Fate({}, {"ratio": "NaN"})),
    "Infinity as text": ('{"ratio": "Infinity"}', Fate({}, {"ratio": "Infinity"})),
    "too large": ('{"ratio": 1e999}', Fate({}, {"ratio": "1e999"})),
    "too small": ('{"ratio": 1e-400}', Fate({}, {"ratio": "1e-400"})),
    "zero": ('{"ratio": -0.000e5}', Fate({"ratio": -0.0})),
    "as Python writes it": (
        '{"ratio": 0.30000000000000004, "id": 5.684341886080802e-14}',
        Fate({"ratio": 0.30000000000000004, "id": "5.684341886080802e-14"}),
    ),
    "more digits than a double": (
        '{"ratio": 12345678901234567.89, "id": 1.10}',
        Fate({"id": "1.10"}, {"ratio": "12345678901234567.89"}),
    ),
    "a whole number past a double": (
        '{"ratio": 9007199254740993}',
        Fate({}, {"ratio": "9007199254740993"}),
    ),
    "half of a pair": ('{"id": "cut \\ud83d", "n": 1}', Fate({"n": 1}, {"id": '"cut \\ud83d"'})),
    "the other half, and a backslash": (
        '{"id": "\\uDE00", "new": "\\\\ud83d"}',
        Fate({}, {"id": '"\\uDE00"', "new": "\\ud83d"}),
    ),
    "large": ('{"ratio": 1e300}', Fate({"ratio": 1e300})),
    # R7: numbers that would have to be changed
    "a decimal": ('{"price": 1.05}', Fate({"price": Decimal("1.05")})),
    "a short decimal": ('{"price": 1.5}', Fate({"price": Decimal("1.50")})),
    "trailing zeros": ('{"price": "1.500"}', Fate({"price": Decimal("1.50")})),
    "a comma": ('{"price": "1,25"}', Fate({}, {"price": "1,25"})),
    "one digit too many": ('{"price": 1.005}', Fate({}, {"price": "1.005"})),
    "a decimal too large": ('{"price": 999999999.5}', Fate({}, {"price": "999999999.5"})),
    "an int too large": ('{"n": 2147483648}', Fate({}, {"n": "2147483648"})),
    # Moments
    "no such day": ('{"at": "2026-02-30 00:00:00"}', Fate({}, {"at": "2026-02-30 00:00:00"})),
    "another order": ('{"at": "31/12/2025 10:00"}', Fate({}, {"at": "31/12/2025 10:00"})),
    "a time without a day": ('{"at": "10:15:00"}', Fate({}, {"at": "10:15:00"})),
    "a seventh digit of a second": (
        '{"at": "2026-01-31T10:00:00.1234567Z"}',
        Fate({}, {"at": "2026-01-31T10:00:00.1234567Z"}),
    ),
    "a seventh digit that is 0": (
        '{"at": "2026-01-31T10:00:00.1234560Z"}',
        Fate({"at": datetime(2026, 1, 31, 10, 0, 0, 123456, timezone.utc)}),
    ),
    "a year": ('{"at": 2026}', Fate({}, {"at": "2026"})),
    # Booleans: a cast takes "y" and "1" too
    "true": ('{"on_sale": true}', Fate({"on_sale": True})),
    "one": ('{"on_sale": 1}', Fate({}, {"on_sale": "1"})),
    "seconds since 1970": ('{"at": 1769860800}', Fate({}, {"at": "1769860800"})),
}


@pytest.fixture(scope="module")
def strict(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Each line in a file of its own, all loaded in one batch."""
    lake = Lake.at(tmp_path_factory.mktemp("strict"), f"bronze.sales.source.schema={COLUMNS}")
    for name, line in BAD.items():
        lake.drop(f"bad {name}.json", line)
    for name, (line, _) in GOOD.items():
        lake.drop(f"good {name}.json", line)
    lake.run("bronze")
    return lake


@pytest.mark.parametrize("name", BAD)
def test_a_line_that_is_not_one_object_is_quarantined_whole(strict: Lake, name: str) -> None:
    assert _rows(strict, f"bad {name}.json") == []
    bad = [r for r in strict.rows("quarantine/bronze/sales") if _of(r["file"], f"bad {name}.json")]
    assert [row["line"] for row in bad] == [BAD[name]]
    assert bad[0]["reason"]


REASONS = {
    "cut short": "not valid JSON",
    "two objects": "several JSON objects without a line break between them; see `concatenated`",
    "two objects and a space": "several JSON objects without a line break between them; "
    "see `concatenated`",
    "two objects and a comma": "more than one JSON object on the line",
    "text behind": "text after the JSON object",
    "a brace behind": "text after the JSON object",
    "a comma behind": "a comma after the JSON object; if the file is one array, see `multiLine`",
    "an array": "valid JSON, but not an object; for an array of objects, see `multiLine`",
    "a number": "valid JSON, but not an object",
    "null": "valid JSON, but not an object",
    "only an opening brace": "not valid JSON; over several lines, see `multiLine`",
    "only a closing bracket": "not valid JSON; over several lines, see `multiLine`",
    "a member of a printed object": "not valid JSON; over several lines, see `multiLine`",
    "a key twice": "a key is repeated in the JSON object",
    "half of a pair in a key": "a key has half of a surrogate pair, which no text can hold",
    "half of a pair in an inner key": "a key has half of a surrogate pair, which no text can hold",
}


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_names_what_to_do(strict: Lake, name: str) -> None:
    bad = [r for r in strict.rows("quarantine/bronze/sales") if _of(r["file"], f"bad {name}.json")]
    assert [row["reason"] for row in bad] == [REASONS[name]]


@pytest.mark.parametrize("name", GOOD)
def test_a_value_that_does_not_fit_is_null_and_rescued(strict: Lake, name: str) -> None:
    _, fate = GOOD[name]
    (row,) = _rows(strict, f"good {name}.json")
    columns = [text.split()[0] for text in COLUMNS.split(", ")]
    assert {c: row[c] for c in columns if row[c] is not None} == fate.values
    rescued = json.loads(row["_rescued_data"]) if row["_rescued_data"] else None
    if rescued:
        assert rescued.pop("_file_path") == row["_input_file"]
    assert rescued == fate.rescued


def _rows(lake: Lake, name: str) -> list[dict[str, Any]]:
    return [row for row in lake.rows("bronze.sales") if _of(row["_input_file"], name)]


def _of(uri: str, name: str) -> bool:
    from support.lake import local

    return local(uri).endswith(f"/{name}")
