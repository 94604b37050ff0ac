"""The metrics of a query: one row for each batch, in its own Delta table.

The row is written after the batch is in its table and before Spark commits the batch. After a
crash in between, the batch runs again and its row is then written, with the counts of the second
run.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from medallion_jobs.lake.tables.metrics_table import MetricsTable
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
# The key of a batch's duration in its commit's metadata, where `medallion status` reads it
# without opening a data file.
SECONDS = "batchSeconds"
# The key of the warning that most rows of the batch are not in the table.
WARNING = "batchWarning"


def app_id(table: str, generation: int) -> str:
    """The application id of the transactions by which a query's generation writes metrics."""
    return f"{table}/v{generation}/metrics"


class BatchTable:
    """The metrics table of one query. Its caller holds the query's lock."""

    def __init__(self, folder: Location) -> None:
        self._log = MetricsTable(folder, COLUMNS)

    def append(self, event: BatchDone, generation: int, run_id: str) -> bool:
        """Writes a batch's row, once even if the batch is run several times.

        Returns:
            Whether the row was written now.
        """
        row = _row(event, generation, run_id)
        metadata = {SECONDS: f"{event.seconds:.3f}"}
        if event.set_aside:
            metadata[WARNING] = masked(event.set_aside.text)
        return self._log.append([row], app_id(event.table, generation), event.batch, metadata)


def _row(event: BatchDone, generation: int, run_id: str) -> dict[str, object]:
    values = {name: getattr(event, name) for name in COLUMNS.names if hasattr(event, name)}
    return {
        **values,
        "table_name": event.table,
        "generation": generation,
        "run_id": run_id,
        "at": datetime.fromisoformat(event.at),
        "remarks": [masked(remark) for remark in event.remarks],
    }
