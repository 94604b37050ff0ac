"""A lake held against the oracle, table by table and file by file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from support.lake import Lake, local
from support.oracle import Row, Truth, canonical

_SHOWN = 5
LAYERS = ("bronze", "silver", "gold")


def assert_exact(lake: Lake, truth: Truth | None = None, layers: Iterable[str] = LAYERS) -> Truth:
    """Every table of these layers holds just the rows that the landed files call for."""
    truth = truth or lake.truth()
    checks = {"bronze": _bronze, "silver": _silver, "gold": _gold}
    for layer in layers:
        checks[layer](lake, truth)
    return truth


def assert_same(actual: Iterable[Row], expected: Counter[Row], what: str) -> None:
    found = Counter(actual)
    missing, extra = expected - found, found - expected
    assert not missing and not extra, (
        f"{what}: {missing.total()} rows are missing, such as {_some(missing)}; "
        f"{extra.total()} are too many, such as {_some(extra)}"
    )


def _bronze(lake: Lake, truth: Truth) -> None:
    rows = lake.rows("bronze.sales")
    found = [
        (
            row["order_id"],
            row["customer_id"],
            row["product_id"],
            row["quantity"],
            row["order_timestamp"],
            canonical(_rescued(row)),
            local(row["_input_file"]),
        )
        for row in rows
    ]
    assert_same(found, truth.bronze, "bronze.sales")
    assert all(row["_load_time"] for row in rows)
    if truth.quarantine:
        bad = lake.rows("quarantine/bronze/sales")
        # A file that is read again leaves its older lines in quarantine, as superseded.
        newest = {r["file"]: max(_reading(x) for x in bad if x["file"] == r["file"]) for r in bad}
        assert_same(
            [(local(r["file"]), r["line"]) for r in bad if _reading(r) == newest[r["file"]]],
            truth.quarantine,
            "bronze's quarantine",
        )
    _files(lake, truth)


def _reading(record: dict[str, Any]) -> tuple[int, int]:
    return record["generation"], record["batch"]


def _rescued(row: dict[str, Any]) -> str | None:
    """What was rescued of a row, without the file, which must be the row's own."""
    if row["_rescued_data"] is None:
        return None
    rescued = json.loads(row["_rescued_data"])
    assert rescued.pop("_file_path") == row["_input_file"]
    return json.dumps(rescued)


def _files(lake: Lake, truth: Truth) -> None:
    """For every file, lines = rows + bad, by the ledger and by the tables."""
    found = {
        path: (one["state"], one["rows"], one["rescued"], one["bad"])
        for path, one in lake.files().items()
    }
    expected = {
        path: ("COMMITTED", len(file.rows), file.rescued, len(file.bad))
        for path, file in truth.files.items()
    }
    wrong = {p: (found.get(p), expected.get(p)) for p in {*found, *expected}}
    wrong = {path: pair for path, pair in wrong.items() if pair[0] != pair[1]}
    assert not wrong, f"the ledger's account (found, expected): {_some(wrong)}"


def _silver(lake: Lake, truth: Truth) -> None:
    rows = lake.rows("silver.sales")
    names = ("order_id", "customer_id", "region", "product_id", "quantity", "order_date")
    assert_same([tuple(r[n] for n in names) for r in rows], truth.silver, "silver.sales")
    assert all(row["load_time"] for row in rows)


def _gold(lake: Lake, truth: Truth) -> None:
    names = ("region", "order_date", "total_quantity")
    rows = lake.rows("gold.sales_by_region_day")
    assert_same([tuple(r[n] for n in names) for r in rows], truth.gold, "gold.sales_by_region_day")


def _some(rows: Any) -> list[Any]:
    return list(rows.items())[:_SHOWN]
