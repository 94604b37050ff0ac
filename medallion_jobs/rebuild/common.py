"""What the rebuilds of a whole table and of a part have in common: locks, journal, audit."""

from __future__ import annotations

import getpass
import hashlib
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from medallion_jobs.checkpoint import Lock, Logic, QueryFolder, manifest, rebuilds
from medallion_jobs.checkpoint.journal import Journal
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import LockHeld, UsageError
from medallion_jobs.lake import paths, tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.observe import rebuild_table
from medallion_jobs.rebuild.chain import stale_readers, stream_of
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LOOK_EACH_SECONDS = 0.5


@contextmanager
def held(
    config: Pipeline,
    ref: TableRef,
    patience: float,
    readers: Sequence[TableRef] | None = None,
) -> Iterator[None]:
    """Holds the locks of a table's query, and of those that cannot go on over replaced rows.

    Args:
        patience: seconds to wait for runs of them.
        readers: the others; by default those that cannot go on when rows are replaced.

    Raises:
        LockHeld: such a run has not ended in time.
    """
    deadline = time.monotonic() + patience
    with ExitStack() as locks:
        for one in (ref, *(stale_readers(config, ref) if readers is None else readers)):
            locks.enter_context(_lock(TablePaths(config, one), deadline))
        yield


def _lock(places: TablePaths, deadline: float) -> Lock:
    while True:
        try:
            return Lock(QueryFolder.of(places).lock, str(places.ref))
        except LockHeld as taken:
            if time.monotonic() >= deadline:
                raise LockHeld(
                    f"{taken.what}; what is computed so far waits",
                    holder=taken.holder,
                    next_step="stop that run, such as with `medallion stop`; then type the same "
                    "command again, which goes on from here",
                ) from taken
        time.sleep(_LOOK_EACH_SECONDS)


def journal_of(config: Pipeline, ref: TableRef, reason: str, after: int | None = None) -> Journal:
    """The journal of a rebuild that begins now.

    Args:
        after: the generation that it opens; None for a part, which opens none.

    Raises:
        UsageError: the table was never written.
    """
    places = TablePaths(config, ref)
    kept = manifest.read(QueryFolder.of(places))
    if kept is None or tables.snapshot(places.data) is None:
        raise never_written(ref)
    bound, number = kept.current.binding, kept.current.number
    return Journal(
        table=str(ref),
        phase="waiting",
        reason=reason,
        by=f"{getpass.getuser()}@{socket.gethostname()}",
        started_at=datetime.now(timezone.utc),
        before=number,
        after=number if after is None else after,
        config_before=_digest(bound.logic) if bound else "",
        config_after=_digest(stream_of(config, ref).claim.logic),
    )


def never_written(ref: TableRef) -> UsageError:
    return UsageError(
        f"{ref} was never written",
        code="table_never_written",
        untouched="nothing was changed",
        next_step="medallion run",
    )


def next_number(config: Pipeline, ref: TableRef) -> int:
    """The number of the table's next rebuild."""
    table = tables.snapshot(TablePaths(config, ref).data)
    return table.txn(rebuilds(str(ref))) + 1 if table else 0


def has(table: Location, app_id: str, number: int) -> bool:
    """Whether a table has a transaction."""
    found = tables.snapshot(table)
    return found is not None and found.txn(app_id) >= number


def rows(spark: SparkSession, table: Location) -> int:
    """The number of rows; that of the log also counts rows that deletion vectors remove."""
    return spark.read.format("delta").load(str(table)).count()


def tell(config: Pipeline, ref: TableRef, spark: SparkSession, now: Journal) -> None:
    """Writes the row of a rebuild to `metrics.rebuilds`, once."""
    path = TablePaths(config, ref).data
    table = tables.snapshot(path)
    assert table is not None  # it was rebuilt
    row: dict[str, object] = {
        "table_name": str(ref),
        "number": now.number,
        "part": now.part,
        "reason": now.reason,
        "by_user": now.by,
        "started_at": now.started_at,
        "ended_at": datetime.now(timezone.utc),
        "generation_before": now.before,
        "generation_after": now.after,
        "config_before": now.config_before,
        "config_after": now.config_after,
        "rows_before": now.rows_before,
        "rows_after": rows(spark, path),
        "version": table.version,
    }
    rebuild_table.append(paths.rebuilds(config), rebuilds(str(ref)), row)


def _digest(logic: Logic) -> str:
    """A digest that changes with each part of a query's logic."""
    return hashlib.sha256(logic.model_dump_json().encode()).hexdigest()[:16]
