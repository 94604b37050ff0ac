"""Claims on the rows of a siding: which of them left it, with what.

A Delta table in the siding's own folder, `_claims`: a name that Delta takes for no data of the
table around it. A claim that names a transaction is written before that transaction, and
counts only once the target table has it; so a crash between the two leaves the row where it
was. A dismissal names none, and counts at once.
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
# The application id of those that name no transaction.
AT_ONCE = ""


def ensure(parked_rows: Location) -> None:
    """Makes the table of claims where there is none."""
    create_delta(paths.claims(parked_rows), COLUMNS)


def dismiss(parked_rows: Location, ids: Sequence[str], reason: str, run_id: str) -> None:
    """Says that rows will not go on. The caller holds the lock of the table's query."""
    ensure(parked_rows)
    now = datetime.now(timezone.utc)
    said = {"app_id": AT_ONCE, "number": 0, "how": DISMISSED, "run_id": run_id, "at": now}
    rows = [{"id": one, **said, "reason": reason} for one in ids]
    table = pa.Table.from_pylist(rows, schema=COLUMNS)
    write_deltalake(open_delta(paths.claims(parked_rows)), table, mode="append")


def withdraw(parked_rows: Location, app_id: str, number: int) -> None:
    """Takes back the claims that name `app_id` and this transaction or a later one."""
    path = paths.claims(parked_rows)
    if snapshot(path):
        # Where there are none, this writes nothing.
        open_delta(path).delete(f"app_id = {_text(app_id)} AND number >= {number}")


def that_count(
    parked_rows: Location, committed: Callable[[str], int], *, before: bool = False
) -> str:
    """SQL that is true of the claims that count; empty where there are none at all.

    Args:
        committed: the target's newest transaction of an application id, or -1.
        before: only those that counted before the newest transaction, too.
    """
    path = paths.claims(parked_rows)
    if snapshot(path) is None:
        return ""
    ids = open_delta(path).to_pyarrow_table(columns=["app_id"]).column("app_id").unique()
    cut = "<" if before else "<="
    named = [one for one in ids.to_pylist() if one != AT_ONCE]
    counted = [f"(app_id = {_text(one)} AND number {cut} {committed(one)})" for one in named]
    return " OR ".join([f"app_id = {_text(AT_ONCE)}", *counted])


def forget(parked_rows: Location, condition: str) -> None:
    """Removes claims whose rows are gone, and puts what is left into few files."""
    table = open_delta(paths.claims(parked_rows))
    table.delete(condition)
    table.optimize.compact()


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
