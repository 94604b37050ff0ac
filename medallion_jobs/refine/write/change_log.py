"""The changes that a table was made from, as far as later ones may need them.

A Delta table beside the silver table, with a row for each change. A batch first adds its changes
here, then computes its keys from all their changes, and merges the difference into the silver
table. Both commits have a transaction, so that a batch which runs again after a crash between
them adds no change twice. What a change looked like is never read from the silver table: an older
change that arrives late is put in its place among the others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from medallion_jobs.config import ApplyChanges, Layout
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.write.versions import (
    CHANGE,
    DELETE,
    GIVEN,
    MOVED_FROM,
    SEQUENCE,
    TRUNCATE,
    VALUES,
    needed,
    parts_of,
)
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from datetime import datetime

    from pyspark.sql import DataFrame, SparkSession

ARRIVED = "__arrived"
# The only field of the values of a table that has no columns but its keys.
NO_VALUES = "__no_values"
# A log is tidied when it has twice the rows of after the last time, and this many at least.
_MIN_ROWS = 100_000
_TIDIED = "tidied"
_SMALL_FILES = Layout(optimize_after=100)


@dataclass(frozen=True)
class ChangeLog:
    """The stored changes of a silver table.

    Attributes:
        path: the Delta table.
        keys: the columns of the key.
    """

    path: Location
    keys: tuple[str, ...]

    @staticmethod
    def schema(target: StructType, keys: Sequence[str], sequence: DataType) -> StructType:
        """The columns of a change.

        Args:
            target: the columns of the silver table, without those that its write mode adds.
        """
        values = [field for field in target if field.name not in keys]
        values = values or [StructField(NO_VALUES, BooleanType())]
        return StructType(
            [
                *(StructField(key, target[key].dataType) for key in keys),
                StructField(SEQUENCE, sequence),
                StructField(CHANGE, StringType()),
                StructField(VALUES, StructType(values)),
                StructField(GIVEN, ArrayType(StringType())),
                StructField(
                    MOVED_FROM, StructType([StructField(k, target[k].dataType) for k in keys])
                ),
                StructField(ARRIVED, TimestampType()),
            ]
        )

    def ensure(self, spark: SparkSession, schema: StructType, *, is_rebuild: bool) -> None:
        """Creates the table, or gives it the columns that it lacks.

        Args:
            is_rebuild: the silver table starts empty, and so does this one.
        """
        about = "Changes from which a table is computed"
        ensure_table(spark, self.path, schema, about, is_rebuild=is_rebuild)

    def add(self, changes: DataFrame, txn: tables.Txn) -> None:
        """Adds the changes of a batch, once."""
        txn = tables.Txn(f"{txn.app_id}/changes", txn.batch, txn.run_id)
        tables.append(changes, self.path, txn)

    def of(
        self, touched: DataFrame | None, within: str, spark: SparkSession, *, truncates: bool
    ) -> DataFrame:
        """All changes of some keys; a truncate is a delete of each of them.

        Args:
            touched: the keys, each once, nulls not among them; None: all keys.
            within: SQL condition on the rows of `target` that can have one of the keys.
            truncates: whether there may be truncates.
        """
        stored = spark.read.format("delta").load(str(self.path))
        of_keys = stored.where(col(CHANGE) != TRUNCATE)
        if touched is None:
            touched = of_keys.select(*(col(k) for k in self.keys)).distinct()
        else:
            of_keys = of_keys.alias(tables.TARGET).where(within)
            of_keys = of_keys.join(touched, list(self.keys), "left_semi")
        if not truncates:
            return of_keys
        all_older = stored.where(col(CHANGE) == TRUNCATE).select(SEQUENCE).distinct()
        deletes = touched.crossJoin(F.broadcast(all_older)).withColumn(CHANGE, F.lit(DELETE))
        return of_keys.unionByName(deletes, allowMissingColumns=True)

    def tidy_if_due(
        self, spark: SparkSession, settings: ApplyChanges, moment: datetime
    ) -> str | None:
        """Removes changes on which nothing depends any more, when the log has grown enough.

        Args:
            moment: the time of now.

        Returns:
            A note for the user; None if nothing was done.
        """
        before = tables.snapshot(self.path)
        if before is None or before.rows < _MIN_ROWS or before.rows < 2 * self._rows_after_last:
            return tables.optimize_if_due(spark, self.path, _SMALL_FILES)
        self.tidy(spark, settings, moment)
        after = tables.snapshot(self.path)
        assert after is not None  # it was there before
        return f"change log: {before.rows:,} changes became {after.rows:,}"

    def tidy(self, spark: SparkSession, settings: ApplyChanges, moment: datetime) -> None:
        """Removes changes on which nothing depends any more, in one commit."""
        is_remembered = col(ARRIVED) >= F.lit(moment - settings.tombstone_retention)
        stored = spark.read.format("delta").load(str(self.path))
        kind = stored.schema[VALUES].dataType
        assert isinstance(kind, StructType)
        is_truncate = col(CHANGE) == TRUNCATE
        truncates = settings.apply_as_truncates is not None
        kept = needed(
            self.of(None, "true", spark, truncates=truncates),
            self.keys,
            parts_of(kind, settings),
            with_history=settings.has_history,
            is_remembered=is_remembered,
        )
        columns = [col(name) for name in stored.columns]
        # Without the deletes that stand for truncates: these are kept as such.
        rows = kept.where(col(ARRIVED).isNotNull()).select(*columns)
        if truncates:
            ends_versions = F.lit(settings.has_history)
            remembered = stored.where(is_truncate & (ends_versions | is_remembered))
            rows = rows.unionByName(remembered.select(*columns))
        notes = json.dumps({_TIDIED: True})
        writer = rows.write.format("delta").mode("overwrite").option("userMetadata", notes)
        writer.save(str(self.path))

    @property
    def _rows_after_last(self) -> int:
        """The rows of the log after it was last tidied; 0 if it never was."""
        current = tables.snapshot(self.path)
        for version in range(current.version if current else -1, -1, -1):
            lines = tables.entry(self.path, version)
            if lines is None:
                break
            if any(line.startswith('{"commitInfo":') and _TIDIED in line for line in lines):
                tidied = tables.snapshot(self.path, version)
                return tidied.rows if tidied else 0
        return 0


def ensure_table(
    spark: SparkSession, path: Location, schema: StructType, about: str, *, is_rebuild: bool
) -> None:
    """Creates a table beside a silver table, or gives it the columns that it lacks.

    Args:
        about: the comment of the table.
        is_rebuild: the silver table starts empty, and so does this one.
    """
    if is_rebuild and tables.snapshot(path):
        tables.recreate(spark, path, schema)
    tables.create(spark, path, schema, comment=about)
    if spark.read.format("delta").load(str(path)).schema != schema:
        empty = spark.createDataFrame([], schema).write.format("delta").mode("append")
        empty.option("mergeSchema", True).save(str(path))
