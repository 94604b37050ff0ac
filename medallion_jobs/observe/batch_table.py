"""The metrics of a query: one row for each batch, in a Delta table of its own.

The row is written after the batch is in its table and before Spark notes the batch as done.
A crash in between loses nothing that cannot be told again: the batch is run once more, and
its row is then written, with the counts of the second run. A caller that appends after
Spark's note loses at most that one row.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from medallion_jobs.lake.tables.metrics_table import Log
from medallion_jobs.masking import masked
from medallion_jobs.observe.batch import NOT_WRITTEN
from medallion_jobs.observe.events import BatchDone
from medallion_jobs.storage import Location

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
        *(pa.field(what, pa.int64(), nullable=what != "quarantined") for what in NOT_WRITTEN),
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
# And the warning of a batch of which most rows are not in the table.
WARNING = "batchWarning"


def app_id(table: str, generation: int) -> str:
    """The transaction id under which a generation of a query writes its metrics."""
    return f"{table}/v{generation}/metrics"


class BatchTable:
    """The metrics table of one query. Its caller holds the query's lock."""

    def __init__(self, folder: Location) -> None:
        self._log = Log(folder, COLUMNS)

    def append(self, event: BatchDone, generation: int, run_id: str) -> bool:
        """Writes a batch's row, once however often the batch is run.

        Returns:
            Whether there was a row to write.
        """
        row = _row(event, generation, run_id)
        told = {SECONDS: f"{event.seconds:.3f}"}
        if event.set_aside:
            told[WARNING] = masked(event.set_aside.text)
        return self._log.append([row], app_id(event.table, generation), event.batch, told)


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
