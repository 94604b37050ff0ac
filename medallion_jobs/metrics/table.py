"""The metrics of a query: one row for each batch, in a Delta table of its own.

The row is written after the batch is in its table and before Spark notes the batch as done.
A crash in between loses nothing that cannot be told again: the batch is run once more, and
its row is then written, with the counts of the second run. A caller that appends after
Spark's note loses at most that one row.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from medallion_jobs.metrics.progress import BatchDone

COLUMNS = pa.schema(
    [
        pa.field("table_name", pa.string(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("files", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("rows_in", pa.int64()),
        pa.field("rows_out", pa.int64(), nullable=False),
        pa.field("rescued", pa.int64(), nullable=False),
        pa.field("quarantined", pa.int64(), nullable=False),
        *(pa.field(what, pa.int64()) for what in ("filtered", "dropped", "held", "repeated")),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("listing_seconds", pa.float64()),
        pa.field("files_left", pa.int64()),
        pa.field("bytes_left", pa.int64()),
        pa.field("oldest_waiting_seconds", pa.float64()),
        pa.field("files_per_second", pa.float64(), nullable=False),
        pa.field("backlog", pa.int64()),
        pa.field("remarks", pa.list_(pa.string()), nullable=False),
    ]
)
# The key in a commit's information under which a batch's seconds are found without opening
# a data file: `medallion status` tells them.
SECONDS = "batchSeconds"

MOST_FILES = 100


def app_id(table: str, generation: int) -> str:
    """The transaction id under which a generation of a query writes its metrics."""
    return f"{table}/v{generation}/metrics"


class BatchLog:
    """The metrics table of one query. Its caller holds the query's lock.

    The table is kept open from one append to the next. An append costs more the more data
    files there are, so that each time there are `MOST_FILES` of them they become one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._table: DeltaTable | None = None
        self._files = 0

    def append(self, event: BatchDone, generation: int, run_id: str) -> bool:
        """Writes a batch's row, once however often the batch is run.

        Returns:
            Whether there was a row to write.
        """
        table = self._table or self._opened()
        owner = app_id(event.table, generation)
        written = table.transaction_version(owner)
        if written is not None and written >= event.batch:
            return False
        write_deltalake(
            table,
            pa.Table.from_pylist([_row(event, generation, run_id)], schema=COLUMNS),
            mode="append",
            # A table of an earlier version lacks columns.
            schema_mode="merge",
            commit_properties=CommitProperties(
                app_transactions=[Transaction(owner, event.batch)],
                custom_metadata={SECONDS: f"{event.seconds:.3f}"},
            ),
        )
        self._files += 1
        if self._files >= MOST_FILES:
            table.optimize.compact()
            table.create_checkpoint()
            # One that stays open also holds every version that it has ever been at.
            self._opened()
        return True

    def _opened(self) -> DeltaTable:
        self._table = DeltaTable.create(
            self._folder, COLUMNS, mode="ignore", configuration={"delta.appendOnly": "true"}
        )
        self._files = self._table.get_add_actions().num_rows
        return self._table


def _row(event: BatchDone, generation: int, run_id: str) -> dict[str, object]:
    told = {name: getattr(event, name) for name in COLUMNS.names if hasattr(event, name)}
    return {
        **told,
        "table_name": event.table,
        "generation": generation,
        "run_id": run_id,
        "at": datetime.fromisoformat(event.at),
        "remarks": list(event.remarks),
    }
