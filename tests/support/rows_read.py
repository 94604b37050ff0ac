"""How many rows Spark has read of a table, by its own count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medallion_jobs.lake import tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def rows_read(spark: SparkSession) -> Iterator[RowsRead]:
    """Counts what is read while the block runs."""
    # A plan tells of a place in a hundred letters, unless it is asked for more.
    with tables.with_conf(spark, {"spark.sql.maxMetadataStringLength": "2000"}):
        yield RowsRead(spark)


class RowsRead:
    """Counts from the moment when it is made."""

    def __init__(self, spark: SparkSession) -> None:
        self._store: Any = spark._jsparkSession.sharedState().statusStore()
        self._before = {run.executionId() for run in _each(self._store.executionsList())}

    def of(self, table: Path) -> int:
        """Rows that came out of scans of a table's own files."""
        found = 0
        for run in _each(self._store.executionsList()):
            one = run.executionId()
            if one in self._before:
                continue
            told = self._store.executionMetrics(one)
            for node in _each(self._store.planGraph(one).allNodes()):
                if node.name().startswith("Scan") and f"{table}]" in node.desc():
                    found += sum(_value(told, of) for of in _each(node.metrics()))
        return found


def _value(told: Any, metric: Any) -> int:
    if metric.name() != "number of output rows":
        return 0
    value = told.get(metric.accumulatorId())
    return int(value.get().replace(",", "")) if value.isDefined() else 0


def _each(found: Any) -> Iterator[Any]:
    return (found.apply(place) for place in range(found.size()))
