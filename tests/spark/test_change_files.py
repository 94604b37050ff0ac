"""Changes in files: Debezium's messages as JSON lines, and plain rows with an op."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.debezium import assert_equal, lines_of, source

from medallion_jobs.testing import LakeHarness

CONFIG = """\
pipeline: files
bronze:
  events:
    source: {format: json, infer_column_types: true}
  lines:
    source: {format: text}
  flat:
    source: {format: json}
  dms:
    source: {format: csv, options: {header: true}}
silver:
  customers:
    from: bronze.events
    envelope: {format: debezium, schema: &customers "id int, name string, city string, points int"}
    apply_changes: &applied
      keys: id
      sequence_by: [_commit_lsn, _lsn]
      apply_as_deletes: _op = 'd'
  customers_of_lines:
    from: bronze.lines
    envelope: {format: debezium, schema: *customers, column: value}
    apply_changes: *applied
  customers_flat:
    from: bronze.flat
    envelope:
      format: plain
      op: __op
      new_columns: rescue
      schema: id int, name string, city string, points int, __source_lsn bigint
    apply_changes:
      keys: id
      sequence_by: __source_lsn
      apply_as_deletes: _op = 'd'
      except_column_list: [__source_lsn, _rescued_data]
  customers_dms:
    from: bronze.dms
    envelope:
      format: plain
      op: Op
      schema: id int, name string, amount decimal(10,2), at timestamp
    apply_changes: {keys: id, sequence_by: at, apply_as_deletes: _op = 'd'}
"""


def test_every_kind_of_file(spark: Any, tmp_path: Path) -> None:
    path = tmp_path / "files.yaml"
    path.write_text(CONFIG)
    lake = LakeHarness.of(path, tmp_path)
    messages = [json.loads(line) for line in lines_of("changes", "nulls.plain")]
    values = [m["value"] for m in messages if m["topic"].endswith(".customers") and m["value"]]
    lake.drop("events", "1.json", *values)
    # Not a change, and no JSON: one is left out, the other is quarantined.
    lake.drop("lines", "1.txt", *values, '{"ts_ms": 1}', "no message", '{"after": {"id": 1}}')
    flat = [json.loads(line) for line in lines_of("changes", "flat.plain")]
    lake.drop(
        "flat",
        "1.json",
        *(m["value"] for m in flat if m["topic"].endswith(".customers") and m["value"]),
    )
    lake.drop(
        "dms",
        "1.csv",
        "Op,id,name,amount,at",
        "I,1,Ada,1.50,2026-01-01 00:00:00",
        "U,1,Ada L.,2.50,2026-01-02 00:00:00",
        "I,2,Bob,3.00,2026-01-01 00:00:00",
        "D,2,,,2026-01-03 00:00:00",
        "?,3,Cy,1.00,2026-01-01 00:00:00",
    )
    lake.run()
    for name in ("customers", "customers_of_lines", "customers_flat"):
        assert_equal(lake, name, source("changes", "customers"))
    bad = lake.quarantined("silver.customers_of_lines")
    assert {row["rules"][0] for row in bad} == {"envelope"}
    assert sorted(row["reasons"][0] for row in bad) == [
        "the message has no `op` that says what the change is",
        "the message is no JSON object",
    ]
    (row,) = lake.rows("silver.customers_dms")
    assert (row["id"], row["name"], str(row["amount"])) == (1, "Ada L.", "2.50")
    (odd,) = lake.quarantined("silver.customers_dms")
    assert odd["reasons"] == ["the message has no `Op` that says what the change is"]
