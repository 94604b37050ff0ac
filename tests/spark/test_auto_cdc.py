"""`apply_changes` against the public cases of AUTO CDC (`tests/data/auto_cdc_cases.json`).

Cases with the same settings share a table: each has a number, which is part of the key.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support import auto_cdc
from support.written import Written

from medallion_jobs.config import SilverTable
from medallion_jobs.errors import MedallionError
from medallion_jobs.refine.transform.recipe import Recipe

CASE = "case_number"
# What AUTO CDC refuses, by who refuses it here.
BY_CONFIG = {
    *("no_keys", "two_column_lists", "two_track_lists", "track_history_needs_scd2"),
    "key_not_in_columns",
}
CODES = {
    "unknown_column": "no_such_column",
    "reserved_column": "reserved_column",
    "sequence_not_orderable": "sequence_not_orderable",
}
OF_ROWS = {"null_key": "key_missing", "null_sequence": "sequence_missing"}
TIMES = {"timestampFormat": "yyyy-MM-dd HH:mm:ss[.SSSSSS]"}
Case = Mapping[str, Any]


def settings_of(case: Case) -> dict[str, Any]:
    names = (
        *("keys", "sequence_by", "apply_as_deletes", "apply_as_truncates", "ignore_null_updates"),
        *("column_list", "except_column_list", "stored_as_scd_type"),
        *("track_history_column_list", "track_history_except_column_list"),
    )
    return {name: case[name] for name in names if case[name] is not None}


def groups(cases: Iterable[Case]) -> list[list[Case]]:
    """The cases that can share a table, the largest groups first."""
    found: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        alone = case["name"] if case["apply_as_truncates"] else ""
        found[f"{alone} {case['schema']} {settings_of(case)}"].append(case)
    return sorted(found.values(), key=len, reverse=True)


def table_of(spark: Any, folder: Path, cases: list[Case]) -> Written:
    settings = settings_of(cases[0])
    settings["keys"] = [CASE, *settings["keys"]]
    if settings.get("column_list"):
        settings["column_list"] = [CASE, *settings["column_list"]]
    ddl = f"{CASE} int, {cases[0]['schema']}"
    if settings.get("apply_as_truncates"):
        # A truncate reads no key.
        settings["keys"] = settings["keys"][1:]
        settings["except_column_list"] = [CASE, *settings.get("except_column_list", [])]
        settings.pop("column_list", None)
    return Written(spark, folder / "silver" / "cases", ddl, {"apply_changes": settings})


def written(table: Written, cases: list[Case]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each case, after all its batches."""
    from pyspark.sql import functions as F

    schema = table.frame().schema
    for number in range(max(len(case["batches"]) for case in cases)):
        rows = [
            (json.dumps({CASE: place, **row}),)
            for place, case in enumerate(cases)
            for row in (case["batches"][number] if number < len(case["batches"]) else ())
        ]
        lines = table.spark.createDataFrame(rows, "line string")
        table.batch += 1
        read = lines.select(F.from_json("line", schema, TIMES).alias("row")).select("row.*")
        table.write_frame(read)
    found: dict[str, list[dict[str, Any]]] = {case["name"]: [] for case in cases}
    stored = table.spark.read.format("delta").load(str(table.path))
    text = F.to_json(F.struct("*"), {**TIMES, "ignoreNullFields": "false"})
    for (line,) in stored.select(text).collect():
        row = json.loads(line)
        found[cases[row.pop(CASE, 0)]["name"]].append(row)
    return found


def normal(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Rows as text; values that are written in several ways are written in one.

    Numbers are texts without the zeros at their end, a moment has no fraction of zeros, and a
    struct of nulls is null.
    """

    def value(found: Any) -> Any:
        if isinstance(found, dict):
            inner = {name: value(of) for name, of in found.items()}
            return inner if any(of is not None for of in inner.values()) else None
        if isinstance(found, list):
            return [value(of) for of in found]
        text = str(found) if isinstance(found, int | float) else found
        return re.sub(r"(?<=[0-9])\.0+$|(\.[0-9]*[1-9])0+$", r"\1", text) if text else text

    return sorted(json.dumps({n: value(v) for n, v in row.items()}, sort_keys=True) for row in rows)


RIGHT = [case for case in auto_cdc.cases() if not isinstance(auto_cdc.wanted(case), str)]
WRONG = [case for case in auto_cdc.cases() if isinstance(auto_cdc.wanted(case), str)]
GROUPS = groups(RIGHT)
IN_CI = 2


def compare(spark: Any, folder: Path, cases: list[Case]) -> None:
    found = written(table_of(spark, folder, cases), cases)
    for case in cases:
        assert normal(found[case["name"]]) == normal(auto_cdc.wanted(case)), case["name"]


@pytest.mark.parametrize("cases", GROUPS[:IN_CI], ids=len)
def test_the_most_frequent_settings(spark: Any, tmp_path: Path, cases: list[Case]) -> None:
    compare(spark, tmp_path, cases)


@pytest.mark.slow
@pytest.mark.parametrize("cases", GROUPS[IN_CI:], ids=lambda cases: cases[0]["name"])
def test_all_other_settings(spark: Any, tmp_path: Path, cases: list[Case]) -> None:
    compare(spark, tmp_path, cases)


def test_what_is_refused(spark: Any, tmp_path: Path) -> None:
    tried: set[str] = set()
    # One of each kind: the others differ in what else they have.
    for case in {(case["error"], case["stored_as_scd_type"]): case for case in WRONG}.values():
        error = case["error"]
        tried.add(error)
        try:
            table = SilverTable.model_validate(
                {"from": "bronze.x", "apply_changes": settings_of(case)}
            )
        except ValidationError:
            assert error in BY_CONFIG or case["name"].endswith("tracked_key"), case["name"]
            continue
        with pytest.raises(MedallionError) as refused:
            rows = spark.createDataFrame([], case["schema"])
            Recipe(table).written(rows)
            written(table_of(spark, tmp_path / case["name"], [case]), [case])
        assert refused.value.code == OF_ROWS.get(error, CODES.get(error)), case["name"]
    assert tried == BY_CONFIG | OF_ROWS.keys() | CODES.keys()
