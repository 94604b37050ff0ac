"""A gap in the changes of a database stops its table: real messages, after a slot was lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.debezium import assert_equal, lines_of, source

from medallion_jobs.errors import DataError
from medallion_jobs.testing import LakeHarness

PIPELINE = """\
pipeline: gaps
bronze:
  messages:
    source:
      format: json
      schema: topic string, partition int, offset bigint, key string, value string, headers string
silver:
  orders:
    from: bronze.messages
    where: topic = 'shop.public.orders'
    envelope: {format: debezium, column: value, key: key, schema: "id int, state string"}
    apply_changes:
      keys: id
      sequence_by: [_commit_lsn, _lsn]
      apply_as_deletes: _op = 'd'
"""


def of(folder: Path, *settings: str) -> LakeHarness:
    (folder / "gaps.yaml").write_text(PIPELINE)
    return LakeHarness.of(folder / "gaps.yaml", folder, *settings)


def test_a_new_snapshot_after_changes_is_a_gap(spark: Any, tmp_path: Path) -> None:
    lines = lines_of("slot", "default.plain")
    orders = [line for line in lines if '"shop.public.orders"' in line]
    over = next(n for n, line in enumerate(orders) if n > 2 and '\\"op\\":\\"r\\"' in line)
    lake = of(tmp_path)
    # The first snapshot comes again, as after a kill of Connect: that is no gap.
    lake.drop("messages", "1.json", *orders[:over], *orders[:3], age=9_000)
    lake.run()
    before = lake.rows("silver.orders")
    lake.drop("messages", "2.json", *orders[over:], age=8_000)
    with pytest.raises(DataError, match=r"a new snapshot of the database was taken") as stopped:
        lake.run()
    # Both positions, as PostgreSQL writes them, and as the messages have them.
    values = [json.loads(json.loads(line)["value"]) for line in orders]
    last, first = (values[n]["source"]["lsn"] for n in (over - 1, over))
    for position in (last, first):
        assert f"0/{position:X} ({position})" in stopped.value.what
    assert stopped.value.code == "changes_missing"
    assert lake.rows("silver.orders") == before
    # The table of the new snapshot, and of what follows it, is that of the database.
    offset = json.loads(orders[over])["offset"]
    where = f"silver.orders.where=topic = 'shop.public.orders' and offset >= {offset}"
    (tmp_path / "healed").mkdir()
    healed = of(tmp_path / "healed", where)
    healed.drop("messages", "1.json", *orders)
    healed.run()
    assert_equal(healed, "orders", source("slot", "orders"))
    # Whoever knows that nothing is missing goes on; rows of the snapshot are the oldest.
    lake = of(tmp_path, "silver.orders.apply_changes.on_gap=ignore")
    lake.run()
    states = {row["id"]: row["state"] for row in lake.rows("silver.orders")}
    assert states == {1: "paid", 2: "new", 3: "sent, too", 4: "in the gap", 5: "after it"}


def test_a_stream_without_its_past_is_a_gap(spark: Any, tmp_path: Path) -> None:
    lines = lines_of("slot", "default.plain")
    orders = [line for line in lines if '"shop.public.orders"' in line]
    values = [json.loads(json.loads(line)["value"] or "null") for line in orders]
    # As with `snapshot.mode: no_data`: no row of a snapshot comes.
    lake = of(tmp_path)
    lake.drop(
        "messages",
        "1.json",
        *(line for line, value in zip(orders, values, strict=True) if value["op"] != "r"),
    )
    with pytest.raises(DataError, match=r"a new stream of changes begins at 0/") as stopped:
        lake.run()
    assert "run once with `--set silver.orders.apply_changes.on_gap=ignore`" in str(stopped.value)


def test_a_first_transaction_comes_after_the_snapshot(spark: Any, tmp_path: Path) -> None:
    """Its first change can lie where the snapshot was taken."""
    row = {"op": "r", "after": {"id": 1, "state": "z"}}
    place = {"lsn": 500, "sequence": '[null,"500"]'}
    rows = [
        {**row, "source": {**place, "snapshot": "last"}},
        {"op": "u", "after": {"id": 1, "state": "a"}, "source": {**place, "snapshot": "false"}},
    ]
    lake = of(tmp_path)
    messages = [
        {"topic": "shop.public.orders", "offset": n, "value": json.dumps(value)}
        for n, value in enumerate(rows)
    ]
    lake.drop("messages", "1.json", *messages)
    lake.run()
    assert [row["state"] for row in lake.rows("silver.orders")] == ["a"]
    # Sent again, from its middle on.
    lake.drop("messages", "2.json", *messages[1:])
    # Rows that are read on demand begin nothing over.
    on_demand = {"snapshot": "incremental", "lsn": None, "sequence": '["700","700"]'}
    later = [
        {"op": "u", "after": {"id": 1, "state": "b"}, "source": {"sequence": '["600","650"]'}},
        {"op": "r", "after": {"id": 1, "state": "b"}, "source": on_demand},
    ]
    lake.drop(
        "messages",
        "3.json",
        *({"topic": "shop.public.orders", "value": json.dumps(value)} for value in later),
    )
    lake.run()
    assert [row["state"] for row in lake.rows("silver.orders")] == ["b"]
