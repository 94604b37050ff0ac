"""Whether the last runs of a pipeline's tables were fine, table by table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.observe.events import counted, format_age
from medallion_jobs.report import runs
from medallion_jobs.report.status import Status, status
from medallion_jobs.runs import Record


@dataclass(frozen=True)
class Limits:
    """From where on a table is not fine; None for no limit.

    Attributes:
        age: time since a run last ended well for the table, or wrote it.
        share, rows: quarantined rows of the runs in that time, as a share of the rows that were
            read, or as their number. Without `age`, of the last run.
        held: rows that wait for a dimension.
    """

    age: timedelta | None = None
    share: float | None = None
    rows: int | None = None
    held: int | None = None


@dataclass(frozen=True)
class Checked:
    """A table, and what is not fine about it.

    Attributes:
        last_outcome, last_run: of its newest run; None if there is no record of one.
        age_seconds: time since a run last ended well for it, or wrote it; None if unknown.
        read, quarantined: rows, in the runs that were looked at.
        problems: what is not fine, each with what to type next; empty if all is.
    """

    table: str
    last_outcome: str | None
    last_run: str | None
    age_seconds: float | None
    read: int
    quarantined: int
    held: int | None
    problems: Sequence[str]


def check(
    config: Pipeline, limits: Limits, tables: Collection[TableRef] | None = None
) -> list[Checked]:
    """Each table of a pipeline, with what is not fine about it.

    Args:
        tables: those to look at; None for all.
    """
    found = status(config, tables)
    recent = runs.within(config, limits.age) if limits.age else []
    last = runs.last_of(config, [one.table for one in found])
    return [_checked(one, last.get(one.table), recent, limits) for one in found]


def _checked(
    found: Status, last: runs.LastRun | None, recent: list[Record], limits: Limits
) -> Checked:
    looked_at = recent or ([last.run] if last else [])
    did = [one for record in looked_at if (one := record.table(found.table))]
    current = [found.batch_at, runs.ended_well([*looked_at], found.table)]
    newest = max((at for at in current if at), default=None)
    age = (datetime.now(timezone.utc) - newest).total_seconds() if newest else None
    read, quarantined = sum(one.rows_in for one in did), sum(one.quarantined for one in did)
    return Checked(
        table=found.table,
        last_outcome=last.did.outcome if last else None,
        last_run=last.run.run_id if last else None,
        age_seconds=age,
        read=read,
        quarantined=quarantined,
        held=found.held_rows,
        problems=[
            *_of_last_run(last),
            *_of_age(age, newest, limits),
            *_of_files(found),
            *_of_quarantine(found.table, read, quarantined, limits),
            *_of_held(found, limits),
        ],
    )


def _of_last_run(last: runs.LastRun | None) -> Iterator[str]:
    if last and not last.did.is_fine:
        ago = format_age((datetime.now(timezone.utc) - last.at).total_seconds())
        first = last.did.error.strip().splitlines()[:1]
        cause = ": ".join([one for one in (last.did.error_code, *first) if one])
        yield f"{last.did.outcome} {ago} ago: {cause}; see: medallion runs show {last.run.run_id}"


def _of_age(age: float | None, newest: datetime | None, limits: Limits) -> Iterator[str]:
    if limits.age is None:
        return
    if age is None or newest is None:
        yield f"no run has loaded it in the last {format_age(limits.age.total_seconds())}"
    elif age > limits.age.total_seconds():
        yield f"last up to date {format_age(age)} ago, at {newest.isoformat(timespec='seconds')}"


def _of_files(found: Status) -> Iterator[str]:
    if found.files_aside:
        yield (
            f"{counted(found.files_aside, 'file')} could not be read, such as "
            f"{found.aside_example}; see: medallion files --state quarantined"
        )


def _of_quarantine(table: str, read: int, quarantined: int, limits: Limits) -> Iterator[str]:
    share = quarantined / max(read, quarantined, 1)
    is_share = limits.share is not None and share > limits.share
    if is_share or (limits.rows is not None and quarantined > limits.rows):
        yield (
            f"{quarantined:,} of {read:,} rows ({share:.2%}) were quarantined; "
            f"see: medallion quarantine show {table}"
        )


def _of_held(found: Status, limits: Limits) -> Iterator[str]:
    held = found.held_rows or 0
    if limits.held is not None and held > limits.held:
        yield f"{counted(held, 'row')} waiting for a dimension's key; see: docs/lookups.md"
