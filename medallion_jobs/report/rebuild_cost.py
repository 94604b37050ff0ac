"""What a rebuild would read, and how long that took before; from logs and metrics alone."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import TableNotFoundError

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta

_COLUMNS = ["generation", "batch", "rows_in", "rows_out", "seconds"]
_LAST_BATCHES = 50


@dataclass(frozen=True)
class Cost:
    """What a rebuild reads.

    Attributes:
        rows: as far as they are counted; deleted rows are among them.
        seconds: at the speed of the largest of the last batches; None without such a batch.
    """

    rows: int
    files: int
    bytes: int
    seconds: float | None = None


class Batches:
    """The batches that the query of a table has written."""

    def __init__(self, config: Pipeline, ref: TableRef) -> None:
        self._rows = _table(TablePaths(config, ref).metrics, _COLUMNS)

    def written(self, generation: int, since: int, before: int) -> int:
        """Rows that the batches of a generation have written, from `since` to before `before`."""
        if self._rows is None:
            return 0
        batch = self._rows["batch"]
        wanted = pc.and_(
            pc.equal(self._rows["generation"], generation),
            pc.and_(pc.greater_equal(batch, since), pc.less(batch, before)),
        )
        return pc.sum(self._rows.filter(wanted)["rows_out"]).as_py() or 0

    @property
    def seconds_per_row(self) -> float | None:
        """The speed of the largest of the last batches: a small one takes as long for few rows."""
        if self._rows is None:
            return None
        last = self._rows.sort_by([("generation", "descending"), ("batch", "descending")])
        rows = [one for one in last.slice(0, _LAST_BATCHES).to_pylist() if one["rows_in"]]
        if not rows:
            return None
        largest = max(rows, key=lambda one: one["rows_in"])
        return float(largest["seconds"] / largest["rows_in"])


def of(config: Pipeline, ref: TableRef, batches: Batches) -> Cost | None:
    """What a rebuild of a table reads: all of its source; None if there is none."""
    source = paths.sources(config)[ref]
    found = snapshot(source) if source else None
    if source is None or found is None:
        return None
    return _timed(found.rows, found.files, found.bytes, batches)


def _timed(rows: int, files: int, size: int, batches: Batches) -> Cost:
    speed = batches.seconds_per_row
    return Cost(rows, files, size, None if speed is None else rows * speed)


def _table(path: Location, columns: list[str]) -> pa.Table | None:
    try:
        return open_delta(path).to_pyarrow_table(columns=columns)
    except TableNotFoundError:
        return None
