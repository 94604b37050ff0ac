"""The rebuilds of all tables: one row for each, in a Delta table that `metrics.rebuilds` shows."""

from __future__ import annotations

import pyarrow as pa

from medallion_jobs.lake.tables.metrics_table import MetricsTable
from medallion_jobs.masking import masked
from medallion_jobs.storage import Location

COLUMNS = pa.schema(
    [
        pa.field("table_name", pa.string(), nullable=False),
        pa.field("number", pa.int64(), nullable=False),
        pa.field("part", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("by_user", pa.string(), nullable=False),
        pa.field("started_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("ended_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("generation_before", pa.int32(), nullable=False),
        pa.field("generation_after", pa.int32(), nullable=False),
        pa.field("config_before", pa.string(), nullable=False),
        pa.field("config_after", pa.string(), nullable=False),
        pa.field("rows_before", pa.int64(), nullable=False),
        pa.field("rows_after", pa.int64(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
    ]
)


def append(folder: Location, app_id: str, row: dict[str, object]) -> None:
    """Writes the row of a rebuild, once even if its end is repeated.

    Args:
        app_id: the application id that numbers the rebuilds of the table.
        row: by column; `number` is that of the rebuild.
    """
    number = row["number"]
    assert isinstance(number, int)
    told = {**row, "reason": masked(str(row["reason"]))}
    MetricsTable(folder, COLUMNS).append([told], app_id, number, {})
