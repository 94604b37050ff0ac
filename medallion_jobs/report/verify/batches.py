"""The metrics of a silver query's batches, added up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import duckdb

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.observe.batch import NOT_WRITTEN, Written
from medallion_jobs.report.lake_views import rows_of, scan
from medallion_jobs.report.verify.check import Check, Mismatch

_COUNTS = ("batch", "rows_in", "rows_out", *NOT_WRITTEN)
_CUT_OFF = Written.by_earlier_run(0).remarks


@dataclass(frozen=True)
class Batches:
    """The batches of one generation, by number.

    Attributes:
        last: the newest batch in the table, with metrics or not; -1 before the first.
        counts: by batch, its metrics by column; None for a count that the metrics lack.
        cut_off: batches of interrupted runs, whose metrics are incomplete.
    """

    generation: int
    last: int
    counts: Mapping[int, Mapping[str, int | None]]
    cut_off: tuple[int, ...]

    @classmethod
    def read(
        cls,
        duck: duckdb.DuckDBPyConnection,
        config: Pipeline,
        ref: TableRef,
        generation: int,
        last: int,
    ) -> Batches:
        """The batches up to `last`, from their metrics."""
        log = snapshot(TablePaths(config, ref).metrics)
        if log is None:
            return cls(generation, last, {}, ())
        # A metrics table of an earlier version may lack columns.
        columns = [name if name in log.columns else f"NULL::BIGINT AS {name}" for name in _COUNTS]
        rows = rows_of(
            duck.execute(
                f"SELECT {', '.join(columns)}, remarks FROM {scan(log.path)} "  # noqa: S608
                f"WHERE generation = {generation} AND batch <= {last} ORDER BY batch"
            )
        )
        counts = {int(str(row[0])): dict(zip(_COUNTS, row[:-1], strict=True)) for row in rows}
        cut_off = tuple(
            int(str(row[0]))
            for row in rows
            if tuple(row[-1] or ())[:1] == _CUT_OFF  # type: ignore[arg-type]
        )
        return cls(generation, last, counts, cut_off)  # type: ignore[arg-type]

    def before(self, batch: int) -> Batches:
        """The batches before a batch."""
        counts = {number: row for number, row in self.counts.items() if number < batch}
        cut_off = tuple(number for number in self.cut_off if number < batch)
        return replace(self, last=batch - 1, counts=counts, cut_off=cut_off)

    @property
    def numbers(self) -> frozenset[int]:
        return frozenset(self.counts)

    @property
    def missing(self) -> list[int]:
        """Batches without metrics."""
        return [number for number in range(self.last + 1) if number not in self.counts]

    @cached_property
    def _counted(self) -> list[Mapping[str, int]]:
        """Batches with all counts; those of interrupted runs are left out."""
        return [
            {name: count for name, count in counts.items() if count is not None}
            for number, counts in self.counts.items()
            if number not in self.cut_off and None not in counts.values()
        ]

    @property
    def rows_in(self) -> int | None:
        """Rows that were read; None if a batch lacks the count."""
        read = [counts["rows_in"] for counts in self.counts.values()]
        known = [count for count in read if count is not None]
        return sum(known) if len(known) == len(read) else None

    @property
    def rows_out(self) -> int:
        return sum(counts["rows_out"] or 0 for counts in self.counts.values())

    @property
    def filtered(self) -> int:
        return self._sum("filtered")

    @property
    def dropped(self) -> int:
        return self._sum("dropped")

    @property
    def repeated(self) -> int:
        return self._sum("repeated")

    @property
    def held(self) -> int:
        return self._sum("held")

    def _sum(self, name: str) -> int:
        return sum(counts[name] for counts in self._counted)

    @property
    def unknown(self) -> int:
        """Rows read, but not written, by batches that lack some counts."""
        complete = {counts["batch"] for counts in self._counted}
        return sum(
            max(0, (counts["rows_in"] or 0) - (counts["rows_out"] or 0))
            for number, counts in self.counts.items()
            if number not in complete
        )

    def balanced(self, show: int) -> Iterator[Check]:
        """Checks each batch: the rows it read are those it wrote, left out or parked."""
        sums = {
            counts["batch"]: (
                counts["rows_in"],
                counts["rows_out"] + sum(counts[name] for name in NOT_WRITTEN),
            )
            for counts in self._counted
        }
        wrong = {number: pair for number, pair in sums.items() if pair[0] != pair[1]}
        yield Check(
            "rows of each batch",
            sum(read for read, _ in sums.values()),
            sum(accounted for _, accounted in sums.values()),
            mismatches=tuple(
                Mismatch(f"batch {number} of v{self.generation}", *wrong[number])
                for number in sorted(wrong)[:show]
            ),
            wrong=len(wrong),
        )
