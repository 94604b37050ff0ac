"""What the batches of a silver table's query have told, added up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import duckdb

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake import paths
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
        last: the newest batch that the table has, told of or not; -1 before the first.
    """

    generation: int
    last: int
    told: Mapping[int, Mapping[str, int | None]]
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
        log = snapshot(paths.metrics(config.state_path, ref))
        if log is None:
            return cls(generation, last, {}, ())
        # A table of an earlier version may lack columns.
        counts = [name if name in log.columns else f"NULL::BIGINT AS {name}" for name in _COUNTS]
        rows = rows_of(
            duck.execute(
                f"SELECT {', '.join(counts)}, remarks FROM {scan(log.path)} "  # noqa: S608
                f"WHERE generation = {generation} AND batch <= {last} ORDER BY batch"
            )
        )
        told = {int(str(row[0])): dict(zip(_COUNTS, row[:-1], strict=True)) for row in rows}
        cut_off = tuple(
            int(str(row[0]))
            for row in rows
            if tuple(row[-1] or ())[:1] == _CUT_OFF  # type: ignore[arg-type]
        )
        return cls(generation, last, told, cut_off)  # type: ignore[arg-type]

    def before(self, batch: int) -> Batches:
        """Those before a batch."""
        told = {number: counts for number, counts in self.told.items() if number < batch}
        cut_off = tuple(number for number in self.cut_off if number < batch)
        return replace(self, last=batch - 1, told=told, cut_off=cut_off)

    @property
    def numbers(self) -> frozenset[int]:
        return frozenset(self.told)

    @property
    def missing(self) -> list[int]:
        """Batches that nothing is told of."""
        return [number for number in range(self.last + 1) if number not in self.told]

    @cached_property
    def _counted(self) -> list[Mapping[str, int]]:
        """Those of which all is told: not so what a cut-off run had counted."""
        return [
            {name: count for name, count in counts.items() if count is not None}
            for number, counts in self.told.items()
            if number not in self.cut_off and None not in counts.values()
        ]

    @property
    def rows_in(self) -> int | None:
        """Rows that were read; None where a batch does not tell."""
        read = [counts["rows_in"] for counts in self.told.values()]
        told = [count for count in read if count is not None]
        return sum(told) if len(told) == len(read) else None

    @property
    def rows_out(self) -> int:
        return sum(counts["rows_out"] or 0 for counts in self.told.values())

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
        """Rows that were read by batches that did not tell what became of them all."""
        whole = {counts["batch"] for counts in self._counted}
        return sum(
            max(0, (counts["rows_in"] or 0) - (counts["rows_out"] or 0))
            for number, counts in self.told.items()
            if number not in whole
        )

    def balanced(self, show: int) -> Iterator[Check]:
        """Each batch by itself: what it read is what it wrote and what it put elsewhere."""
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
            sum(gone for _, gone in sums.values()),
            mismatches=tuple(
                Mismatch(f"batch {number} of v{self.generation}", *wrong[number])
                for number in sorted(wrong)[:show]
            ),
            wrong=len(wrong),
        )
