"""What became of each rule in each batch: a row a batch and rule, in a Delta table by table.

Written after the batch is in its table, like the row of `metrics.table`: a crash in between
has the batch run again, and its rows are then written, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa

from medallion_jobs.lake.tables.metrics_table import Log
from medallion_jobs.storage import Location

COLUMNS = pa.schema(
    [
        pa.field("table_name", pa.string(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        # Not `check`: SQL keeps that word for itself.
        pa.field("predicate", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("broken", pa.int64(), nullable=False),
    ]
)
# The key in a commit's information under which the batch's rows that break a rule, each
# counted once, are found without opening a data file: `medallion status` tells them.
BROKEN_ROWS = "brokenRows"


@dataclass(frozen=True)
class RuleCount:
    """One rule in one batch.

    Attributes:
        predicate: what the rule checks, in words.
        action: what the config says of a row that breaks it.
        rows: rows of the batch that were judged.
        broken: those that break it.
    """

    rule: str
    predicate: str
    action: str
    rows: int
    broken: int


@dataclass(frozen=True)
class Judged:
    """What the rules of a table said of one batch.

    Attributes:
        table: `layer.name`.
        broken_rows: rows that break one rule or more.
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
    """The transaction id under which a generation of a query writes what its rules said."""
    return f"{table}/v{generation}/quality"


class RuleTable:
    """The table of one query's rules. Its caller holds the query's lock."""

    def __init__(self, folder: Location) -> None:
        self._log = Log(folder, COLUMNS)

    def append(self, said: Judged) -> bool:
        """Writes a batch's rows, once however often the batch is run.

        Returns:
            Whether there was something to write.
        """
        if not said.rules:
            return False
        owner, told = app_id(said.table, said.generation), {BROKEN_ROWS: str(said.broken_rows)}
        return self._log.append(_rows(said), owner, said.batch, told)


def _rows(said: Judged) -> list[dict[str, object]]:
    batch = {
        "table_name": said.table,
        "generation": said.generation,
        "batch": said.batch,
        "run_id": said.run_id,
        "at": said.at,
    }
    return [{**batch, **asdict(rule)} for rule in said.rules]
