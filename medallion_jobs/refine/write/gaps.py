"""Finds gaps in the changes of a database: messages that start over after streamed changes.

Debezium follows a database by a slot, which keeps the log until it is read. If the slot or the
connector's offsets are lost, the connector takes a new snapshot, or streams from where the log is
now. What changed in between is in no message: rows that were deleted stay in the table, and an
older change of a row comes after its row in the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from medallion_jobs.errors import DataError
from medallion_jobs.lake.columns import COMMIT_LSN, IS_SNAPSHOT, LSN, SOURCE_BLOCK
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.write.versions import SEQUENCE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# A column of a change: its position, if messages start over with it.
BEGINS = "__begins"
SNAPSHOT, STREAM = "newest snapshot", "new stream"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_HALF = 32  # bits of a position that PostgreSQL writes before and after the slash


def are_seen(columns: Sequence[str], sequence: Sequence[str]) -> bool:
    """Whether changes have what is needed: PostgreSQL's positions, which also order them."""
    needed = {COMMIT_LSN, LSN}
    return {*columns} >= {*needed, IS_SNAPSHOT, SOURCE_BLOCK} and {*sequence} >= needed


def begins() -> Column:
    """The position of a change with which messages start over; null fields for all others.

    That is a row of a snapshot, unless it was read on demand while changes were streamed; or a
    change of the first transaction after the start of a connector that knows of none before.
    """
    source = col(SOURCE_BLOCK)
    is_whole = F.get_json_object(source, "$.snapshot") != "incremental"
    has_no_past = F.get_json_object(source, "$.sequence").startswith("[null")
    return F.struct(
        F.when(col(IS_SNAPSHOT) & is_whole, col(LSN)).alias(SNAPSHOT),
        F.when(~col(IS_SNAPSHOT) & has_no_past, col(LSN)).alias(STREAM),
    )


def counted() -> list[Column]:
    """Aggregates of changes for `refuse`."""
    return [
        F.max(col(BEGINS)[SNAPSHOT]).alias(SNAPSHOT),
        # Of a first transaction that is sent again, all changes have no past.
        F.min(col(BEGINS)[STREAM]).alias(STREAM),
    ]


def refuse(found: Mapping[str, Any], past: DataFrame, rows: DataFrame, name: str) -> None:
    """Raises DataError if messages start over after changes that were streamed.

    Args:
        found: the `counted` aggregates of the batch.
        past: all changes, those of the batch included, with their `SEQUENCE`.
        rows: the rows of the batch.
        name: of the table.
    """
    for what, position in (
        ("a new snapshot of the database was taken", found[SNAPSHOT]),
        ("a new stream of changes begins", found[STREAM]),
    ):
        if position is None:
            continue
        own, commit = col(SEQUENCE)[LSN], col(SEQUENCE)[COMMIT_LSN]
        # By commits: of two transactions that overlap, the later one may have written first.
        streamed = past.where((commit > 0) & (commit < position))
        last = streamed.agg(F.max(own).alias("last")).collect()[0]["last"]
        if last is not None:
            raise _missing(name, what, last, position, _sent_at(rows, position))


def _missing(name: str, what: str, last: int, first: int, sent: datetime | None) -> DataError:
    since = f"timestamp >= '{sent:%Y-%m-%dT%H:%M:%S.%fZ}'" if sent else "…"
    return DataError(
        f"{name}: {what} at {_shown(first)}, and the changes before it end at {_shown(last)}: what "
        "changed in between may be missing, such as deletes. The slot of the connector was lost, "
        "or its offsets were",
        code="changes_missing",
        untouched="nothing of this batch was written; the messages are in bronze",
        next_step="after a new snapshot, make the table of that snapshot and what follows it: add "
        f'`where: "{since}"` to {name} in the config, then `medallion checkpoint reset {name} '
        '--reason "slot lost" --yes` and run. If nothing is missing, such as after a blocking '
        f"snapshot, run once with `--set {name}.apply_changes.on_gap=ignore`",
    )


def _sent_at(rows: DataFrame, position: int) -> datetime | None:
    """When Kafka got the first message at this position; None if that is not known."""
    if "_timestamp" not in rows.columns:
        return None
    sent = rows.where(col(LSN) == position).agg(F.unix_micros(F.min(col("_timestamp"))))
    (micros,) = sent.collect()[0]
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def _shown(position: int) -> str:
    """A position as PostgreSQL writes it, and as the message has it."""
    return f"{position >> _HALF:X}/{position & (1 << _HALF) - 1:X} ({position})"
