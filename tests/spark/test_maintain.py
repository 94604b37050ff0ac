"""Upkeep between runs: the query goes on, and begins anew, over a ledger that was compacted."""

from __future__ import annotations

import json

from deltalake import DeltaTable
from support.exact import assert_exact
from support.lake import Lake, batches, order

CHUNKS = 3


def test_upkeep_neither_doubles_nor_loses_a_file(lake: Lake, spark: object) -> None:
    one_file_a_batch = lake.having("bronze.sales.source.max_files_per_trigger=1")
    for n in range(CHUNKS):
        lake.drop(f"{n:02}.json", order(order_id=f"o-{n}"), at=n)
    one_file_a_batch.run("bronze")

    done = {one["table"]: one for one in json.loads(lake.cli("maintain", "--json"))}
    discovered = done["ledger/sales/discovered"]
    assert (discovered["files"], discovered["files_after"]) == (CHUNKS, 1)
    assert DeltaTable(lake.path("ledger/sales/discovered")).to_pyarrow_table().num_rows == CHUNKS
    # Spark's source passes over the compaction in a batch that has no file.
    events = one_file_a_batch.run("bronze")
    assert not sum(one.files for one in batches(events, "bronze.sales"))
    assert_exact(lake, layers=["bronze"])

    for n in range(CHUNKS, CHUNKS + 2):
        lake.drop(f"{n:02}.json", order(order_id=f"o-{n}"), at=n)
    events = one_file_a_batch.run("bronze")
    assert [one.rows_out for one in batches(events, "bronze.sales")] == [1, 1]
    assert_exact(lake, layers=["bronze"])

    lake.reset("bronze.sales")
    lake.drop("last.json", order(order_id="o-last"), at=CHUNKS + 2)
    events = one_file_a_batch.run("bronze")
    # The compacted chunk, the two after it and the new one; only the new one has rows to add.
    assert [one.rows_out for one in batches(events, "bronze.sales")] == [0, 0, 0, 1]
    assert_exact(lake, layers=["bronze"])
