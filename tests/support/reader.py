"""Reads every table of a lake again and again, by delta-rs and by DuckDB, in its own process.

    python reader.py LAKE STOP_FILE

Ends when STOP_FILE is there, with one JSON object on stdout: how often each table was read,
what failed, and how often gold was empty after it had been filled.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

import duckdb
from deltalake import DeltaTable
from duckdb_extensions import import_extension


def main(lake: Path, stop: Path) -> None:
    import_extension("delta")
    duck = duckdb.connect()
    duck.execute("LOAD delta")
    reads: Counter[str] = Counter()
    failures: list[str] = []
    gold, emptied = 0, 0
    while not stop.exists():
        for log in lake.rglob("_delta_log/00000000000000000000.json"):
            table = log.parent.parent
            name = str(table.relative_to(lake))
            try:
                by_delta_rs = DeltaTable(table).to_pyarrow_table().num_rows
                (by_duck,) = duck.execute(
                    "SELECT count(*) FROM delta_scan(?)", [str(table)]
                ).fetchone() or (0,)
            except Exception as error:
                failures.append(f"{name}: {error!r}")
                continue
            reads[name] += 1
            if name.startswith("gold/"):
                emptied += gold > 0 and not (by_delta_rs and by_duck)
                gold = max(gold, by_duck)
        time.sleep(0.1)  # leaves the writers some of two cores
    print(json.dumps({"reads": reads, "failures": failures, "emptied": emptied}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
