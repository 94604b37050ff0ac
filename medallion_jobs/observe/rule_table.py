"""The results of a table's rules: one row for each batch and rule, in its own Delta table.

The rows are written after the batch is in its table, like those of `batch_table`. After a crash
in between, the batch runs again and its rows are then written, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa

from medallion_jobs.lake.tables.metrics_table import MetricsTable
from medallion_jobs.storage import Location

COLUMNS = pa.schema(
    [
        pa.field("table_name", pa.string(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        # Not `check`: that is a reserved word in SQL.
        pa.field("predicate", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("broken", pa.int64(), nullable=False),
    ]
)
# The key in a commit's metadata of the number of rows that break a rule, each counted once.
# `medallion status` reads it there without opening a data file.
BROKEN_ROWS = "brokenRows"


@dataclass(frozen=True)
class RuleCount:
    """One rule in one batch.

    Attributes:
        predicate: a description of the check.
        action: what happens to a row that breaks the rule (`otherwise` in the config).
        rows: rows of the batch that were checked.
        broken: rows that break the rule.
    """

    rule: str
    predicate: str
    action: str
    rows: int
    broken: int


@dataclass(frozen=True)
class Judged:
    """The results of a table's rules for one batch.

    Attributes:
        table: `layer.name`.
        broken_rows: rows that break one or more rules.
        at: when the batch was written, with a time zone.
    """

    table: str
    generation: int
    batch: int
    run_id: str
    at: datetime
    broken_rows: int
    rules: Sequence[RuleCount]


def app_id(table: str, generation: int) -> str:
    """The application id of the transactions by which a generation writes rule results."""
    return f"{table}/v{generation}/quality"


class RuleTable:
    """The table of rule results of one query. Its caller holds the query's lock."""

    def __init__(self, folder: Location) -> None:
        self._log = MetricsTable(folder, COLUMNS)

    def append(self, result: Judged) -> bool:
        """Writes a batch's rows, once even if the batch is run several times.

        Returns:
            Whether rows were written now.
        """
        if not result.rules:
            return False
        owner = app_id(result.table, result.generation)
        metadata = {BROKEN_ROWS: str(result.broken_rows)}
        return self._log.append(_rows(result), owner, result.batch, metadata)


def _rows(result: Judged) -> list[dict[str, object]]:
    batch = {
        "table_name": result.table,
        "generation": result.generation,
        "batch": result.batch,
        "run_id": result.run_id,
        "at": result.at,
    }
    return [{**batch, **asdict(rule)} for rule in result.rules]
