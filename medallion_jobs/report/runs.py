"""What the records of runs say about the tables of a pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from itertools import islice

from medallion_jobs.config import Pipeline
from medallion_jobs.runs import Record, TableRun, store
from medallion_jobs.runs.record import COUNTS, OK, RUNNING, moment
from medallion_jobs.storage import Location
from medallion_jobs.storage.duck import text

# So many runs are looked through for a table that no newer one is about.
_LOOKED_THROUGH = 200
_TYPES = {"int": "BIGINT", "int | None": "BIGINT", "str": "VARCHAR"}
_TIMES = ("started", "beat", "ended")


@dataclass(frozen=True)
class LastRun:
    """The newest run of a table.

    Attributes:
        did: what it did to the table.
        at: when it ended; the time now if it is running.
    """

    run: Record
    did: TableRun

    @property
    def found_it_in_use(self) -> bool:
        """Whether another run held the table's lock."""
        return self.did.error_code == "query_already_running"

    @property
    def at(self) -> datetime:
        return moment(self.run.ended) if self.run.ended else datetime.now(timezone.utc)


def of_pipeline(config: Pipeline, since: datetime | None = None) -> Iterator[Record]:
    """The runs that were to load tables of a pipeline, the newest first."""
    for record in store.newest(config.state_path, since):
        if record.is_of_tables and record.pipeline in ("", config.pipeline):
            yield record


def last_of(config: Pipeline, tables: list[str]) -> dict[str, LastRun]:
    """The newest run of each table; tables that no recent run was about are left out."""
    found: dict[str, LastRun] = {}
    for record in islice(of_pipeline(config), _LOOKED_THROUGH):
        for table in tables:
            did = _did(record, table)
            # A run that found the table in use says less than the one that uses it.
            known = found.get(table)
            if did and (known is None or (known.found_it_in_use and did.outcome == RUNNING)):
                found[table] = LastRun(record, did)
        if len(found) == len(tables) and not any(one.found_it_in_use for one in found.values()):
            break
    return found


def within(config: Pipeline, age: timedelta) -> list[Record]:
    """The runs of a pipeline that started, or still ran, in the time before now."""
    begin = datetime.now(timezone.utc) - age
    # A run may have started long before, and have ended since.
    recent = islice(of_pipeline(config), _LOOKED_THROUGH * 10)
    return [record for record in recent if not record.ended or moment(record.ended) >= begin]


def ended_well(records: list[Record], table: str) -> datetime | None:
    """When a table was last brought up to date by one of these runs."""
    ends = [
        moment(record.ended or record.beat)
        for record in records
        if (did := record.table(table)) and did.outcome in (OK, RUNNING)
    ]
    return max(ends, default=None)


def view_sql(state: Location) -> str:
    """SQL of the records that are files, for `metrics.runs`."""
    kinds = {one.name: _TYPES.get(str(one.type)) for one in fields(Record)}
    columns: dict[str, object] = {name: kind for name, kind in kinds.items() if kind}
    columns |= {"seconds": "DOUBLE", **dict.fromkeys(COUNTS, "BIGINT")}
    columns["tables"] = [{one.name: _TYPES[str(one.type)] for one in fields(TableRun)}]
    rows = json.dumps([record.as_dict() for record in store.newest(state)])
    times = ", ".join(f"nullif(run.{name}, '')::TIMESTAMPTZ AS {name}" for name in _TIMES)
    return (
        f"SELECT run.* REPLACE ({times}) FROM "  # noqa: S608 (quoted)
        f"(SELECT unnest(from_json({text(rows)}, {text(json.dumps([columns]))})) AS run)"
    )


def _did(record: Record, table: str) -> TableRun | None:
    """What a run did to a table; one that ended before it knew its tables is about all."""
    if record.tables:
        return record.table(table)
    return TableRun(table, record.outcome, record.error_code, record.error)
