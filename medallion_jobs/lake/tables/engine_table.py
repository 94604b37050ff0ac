"""Appends to a small Delta table of the engine, at a cost that does not grow with the table.

delta-rs loads a table's state for each append, so an append to a ledger of a thousand files takes
five times as long as to a new ledger. If all writers only append, none of that state is needed: an
append is a data file, and a log entry with the next free version (Delta protocol, "Add File").
Only one writer can create the entry of a version (`storage.create`).

Other small tables of the engine cannot be written so, because they need that state. Metrics
(`metrics_table`) ask for the newest transaction, gain columns and are compacted. Releases of
parked rows are withdrawn by a delete. Both they and tombstones are also made of rows that only
Spark has.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medallion_jobs.storage import Location, create, put
from medallion_jobs.storage.delta import open_delta

# As Delta's writers do; a reader replays at most this many entries.
_CHECKPOINT_EACH = 100


class EngineTable:
    """Appends to one table, which must need no writer feature but `delta.appendOnly`."""

    def __init__(self, path: Location) -> None:
        self._path = path
        self._version: int | None = None

    def append(self, rows: pa.Table, txn: tuple[str, int] | None = None) -> None:
        """Adds one data file, in one commit.

        Args:
            txn: application id and version of the transaction, if any.
        """
        actions = [_commit_info(), *([_txn(*txn)] if txn else []), self._write_file(rows)]
        version = self._commit("".join(json.dumps(action) + "\n" for action in actions).encode())
        if version % _CHECKPOINT_EACH == 0:
            open_delta(self._path).create_checkpoint()

    def _commit(self, entry: bytes) -> int:
        """Writes a log entry under the next free version, and returns that version."""
        version = self._version
        if version is None:
            version = open_delta(self._path).version()
        while True:
            version += 1
            try:
                create(self._path / "_delta_log" / f"{version:020}.json", entry)
            except FileExistsError:
                continue
            self._version = version
            return version

    def _write_file(self, rows: pa.Table) -> dict[str, Any]:
        """Writes the rows to a data file, and returns its `add` action."""
        name = f"part-00000-{uuid.uuid4()}-c000.snappy.parquet"
        out = pa.BufferOutputStream()
        pq.write_table(rows, out)
        data = out.getvalue()
        put(self._path / name, data.to_pybytes())
        return {
            "add": {
                "path": name,
                "partitionValues": {},
                "size": data.size,
                "modificationTime": _now_ms(),
                "dataChange": True,
                "stats": json.dumps({"numRecords": rows.num_rows}),
            }
        }


def _commit_info() -> dict[str, Any]:
    return {
        "commitInfo": {
            "timestamp": _now_ms(),
            "operation": "WRITE",
            "operationParameters": {"mode": "Append"},
            "isBlindAppend": True,
        }
    }


def _txn(app_id: str, version: int) -> dict[str, Any]:
    return {"txn": {"appId": app_id, "version": version, "lastUpdated": _now_ms()}}


def _now_ms() -> int:
    return int(time.time() * 1000)
