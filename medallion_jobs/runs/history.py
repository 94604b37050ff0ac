"""The records of older runs, in a Delta table: <state>/metrics/runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from medallion_jobs.checkpoint import Lock
from medallion_jobs.runs.record import COUNTS, Record, TableRun
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import create_delta, open_delta

_TYPES = {"int": pa.int64(), "int | None": pa.int64(), "str": pa.string()}
_TIMES = ("started", "beat", "ended")


def _columns() -> pa.Schema:
    moment = pa.timestamp("us", tz="UTC")
    of_record = {one.name: _TYPES.get(str(one.type)) for one in fields(Record)}
    of_table = pa.struct([(one.name, _TYPES[str(one.type)]) for one in fields(TableRun)])
    return pa.schema(
        {
            **{name: kind for name, kind in of_record.items() if kind},
            **dict.fromkeys(_TIMES, moment),
            "seconds": pa.float64(),
            **dict.fromkeys(COUNTS, pa.int64()),
            "tables": pa.list_(of_table),
        }
    )


def folder(state: Location) -> Location:
    """Where the table lies."""
    return state / "metrics" / "runs"


def pipelines(state: Location) -> set[str]:
    """The pipelines whose runs are in the table."""
    if not (folder(state) / "_delta_log").is_dir():
        return set()
    return set(
        open_delta(folder(state)).to_pyarrow_table(columns=["pipeline"])["pipeline"].to_pylist()
    )


def add(state: Location, records: Sequence[Record]) -> None:
    """Appends the records that the table does not have yet, in one commit.

    Raises:
        LockHeld: another run is just doing it.
    """
    with Lock(state / "runs" / "lock", "the table of runs"):
        table = create_delta(folder(state), _columns(), {"delta.appendOnly": "true"})
        known = set(table.to_pyarrow_table(columns=["run_id"]).column("run_id").to_pylist())
        rows = [_as_row(record) for record in records if record.run_id not in known]
        if rows:
            data = pa.Table.from_pylist(rows, schema=_columns())
            # A table of an earlier version may lack columns.
            write_deltalake(table, data, mode="append", schema_mode="merge")


def _as_row(record: Record) -> dict[str, Any]:
    """A record as a row of the table."""
    row = record.as_dict()
    times = {name: datetime.fromisoformat(row[name]) if row[name] else None for name in _TIMES}
    return {**row, **times}
