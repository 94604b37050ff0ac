"""Releases of parked rows: which rows have left, and with which transaction.

A Delta table in the folder of the parked rows, `_claims`; Delta ignores folders whose name
starts with an underscore. A release that names a transaction is written before that transaction
and takes effect once the target table has it: after a crash in between the row is still parked.
A dismissal names no transaction and takes effect at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone

import pyarrow as pa
from deltalake import write_deltalake

from medallion_jobs.lake import paths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import create_delta, open_delta

COLUMNS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("app_id", pa.string(), nullable=False),
        pa.field("number", pa.int64(), nullable=False),
        pa.field("how", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("reason", pa.string()),
    ]
)
DISMISSED = "dismissed"
# The application id of releases that name no transaction.
AT_ONCE = ""


def ensure(parked_rows: Location) -> None:
    """Creates the table of releases if it does not exist."""
    create_delta(paths.releases(parked_rows), COLUMNS)


def dismiss(parked_rows: Location, ids: Sequence[str], reason: str, run_id: str) -> None:
    """Dismisses rows: they are never replayed. Callers must hold the lock of the table's query.

    Args:
        reason: stored with each row.
    """
    ensure(parked_rows)
    now = datetime.now(timezone.utc)
    common = {"app_id": AT_ONCE, "number": 0, "how": DISMISSED, "run_id": run_id, "at": now}
    rows = [{"id": row_id, **common, "reason": reason} for row_id in ids]
    table = pa.Table.from_pylist(rows, schema=COLUMNS)
    write_deltalake(open_delta(paths.releases(parked_rows)), table, mode="append")


def withdraw(parked_rows: Location, app_id: str, number: int) -> None:
    """Deletes the releases that name `app_id` and this transaction or a later one."""
    path = paths.releases(parked_rows)
    if snapshot(path):
        # If none match, this writes no commit.
        open_delta(path).delete(f"app_id = {_text(app_id)} AND number >= {number}")


def effective(
    parked_rows: Location, committed: Callable[[str], int], *, before: bool = False
) -> str:
    """SQL that is true of the releases in effect; empty if there is no release at all.

    Args:
        committed: gives the target's newest transaction of an application id, or -1.
        before: only releases that were in effect before the newest transaction.
    """
    path = paths.releases(parked_rows)
    if snapshot(path) is None:
        return ""
    ids = open_delta(path).to_pyarrow_table(columns=["app_id"]).column("app_id").unique()
    cut = "<" if before else "<="
    app_ids = [app_id for app_id in ids.to_pylist() if app_id != AT_ONCE]
    counted = [f"(app_id = {_text(name)} AND number {cut} {committed(name)})" for name in app_ids]
    return " OR ".join([f"app_id = {_text(AT_ONCE)}", *counted])


def delete(parked_rows: Location, condition: str) -> None:
    """Deletes releases whose rows are deleted, and compacts the rest."""
    table = open_delta(paths.releases(parked_rows))
    table.delete(condition)
    table.optimize.compact()


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
