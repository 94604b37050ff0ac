"""Any JSON document, as a line: each value is in its column, or rescued, or the line is bad.

The documents are made at random; what is right is decided by Python's own parser.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.engines import assert_all_read
from support.json_documents import Members, Written, documents, parsed
from support.own import OwnLake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLES = {
    "untyped": "format: json",
    "typed": "format: json, infer_column_types: true",
    "declared": "format: json, schema_evolution: rescue, "
    "schema: 'id string, n double, s struct<n: decimal(38,10), id: string, a: array<string>>, "
    "value bigint, key boolean, at timestamp, element map<string,string>'",
}
HALF = re.compile(r"[\ud800-\udfff]")


@pytest.mark.parametrize("number", [500, pytest.param(20_000, marks=pytest.mark.slow)])
def test_each_value_is_somewhere_as_it_came(
    tmp_path: Path, spark: SparkSession, number: int
) -> None:
    tables = "".join(f"  {name}: {{source: {{{about}}}}}\n" for name, about in TABLES.items())
    lake = OwnLake.of(tmp_path, f"pipeline: any\nbronze:\n{tables}")
    lines = list(documents(number, seed=7))
    for table in TABLES:
        # A file for each line would take an hour; the line's number says which one it is.
        numbered = [f'{{"#": "{place}",{line[1:]}' for place, line in enumerate(lines)]
        lake.drop_bytes(f"../{table}/x.json", "\n".join(numbered).encode())
    lake.run("bronze")
    assert_all_read(lake.storage, spark)
    for table in TABLES:
        bad = {_number(row["line"]): row for row in lake.rows(f"quarantine/bronze/{table}")}
        rows = {_number_of(row): row for row in lake.rows(f"bronze.{table}")}
        assert sorted((*bad, *rows)) == list(range(number))
        for place, line in enumerate(lines):
            members = parsed(line)
            assert members is not None
            if place in bad:
                assert bad[place]["line"] == f'{{"#": "{place}",{line[1:]}'
                assert _may_be_bad(members), (line, bad[place]["reason"])
            else:
                _check(members, rows[place], line)


def _number(line: str) -> int:
    found = re.match(r'\{"#": "(\d+)"', line)
    assert found
    return int(found[1])


def _number_of(row: dict[str, Any]) -> int:
    return int(row.get("#") or json.loads(row["_rescued_data"])["#"])


def _may_be_bad(members: Members) -> bool:
    """Whether a line may be refused: a repeated key, or half of a pair in a key."""
    keys = [key for key, _ in members]
    return len(set(keys)) < len(keys) or any(map(HALF.search, _keys(members)))


def _keys(value: Any) -> list[str]:
    if isinstance(value, Members):
        return [k for key, inner in value for k in (key, *_keys(inner))]
    return [k for inner in value for k in _keys(inner)] if isinstance(value, list) else []


def _check(members: Members, row: dict[str, Any], line: str) -> None:
    rescued = json.loads(row["_rescued_data"] or "{}")
    for key, value in members:
        if value is None:
            assert row.get(key) is None
        elif key in rescued:
            _check_text(value, rescued[key], line)
        else:
            assert _is(value, row[key]), (key, value, row[key], line)


def _check_text(value: Any, text: str, line: str) -> None:
    """A rescued value is in the line, letter for letter."""
    if isinstance(value, Written | Members | list):
        assert text in line
    elif isinstance(value, bool):
        assert text == str(value).lower()
    elif HALF.search(value):
        assert text in line
    else:
        assert text == value


def _is(value: Any, found: Any) -> bool:
    """Whether a column has the value, with nothing changed."""
    if value is None or found is None:
        return value is None and found is None
    if isinstance(found, dict | list):
        return isinstance(value, list) and _are(value, found)
    return _text_of(value, found) if isinstance(found, str) else _is_scalar(value, found)


def _are(value: Any, found: Any) -> bool:
    if isinstance(found, dict):  # a struct
        return all(_is(inner, found[key]) for key, inner in value)
    if isinstance(value, Members):  # a map
        if [key for key, _ in value] != [key for key, _ in found]:
            return False
        value, found = [inner for _, inner in value], [inner for _, inner in found]
    return len(value) == len(found) and all(map(_is, value, found))


def _is_scalar(value: Any, found: Any) -> bool:
    if isinstance(found, bool):
        return str(value).lower() == str(found).lower()
    if isinstance(found, datetime | date):
        return isinstance(value, str) and str(found).startswith(value[:10])
    if isinstance(found, float):
        is_zero = not re.search("[1-9]", re.split("[eE]", value)[0])
        return float(value) == found and (found == 0) == is_zero
    return isinstance(found, int | Decimal) and Decimal(value) == found


def _text_of(value: Any, found: str) -> bool:
    if isinstance(value, Members | list):
        again = json.loads(found, object_pairs_hook=Members, parse_int=Written, parse_float=Written)
        return bool(again == value)
    return found == (str(value).lower() if isinstance(value, bool) else value)
