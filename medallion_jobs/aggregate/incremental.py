"""Incremental mode: a gold table that follows the changes of its source, group by group.

A batch is the changes of the source between two of its versions. Only the groups of the changed
rows can change. If every measure allows it, a group that only gained rows is updated from its old
values; other groups are recomputed from the source at the batch's last version. All of this is
one MERGE, which is committed once.

The table has the declared columns only, and no hidden counts to maintain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql import functions as F

from medallion_jobs.aggregate.aggregation import Aggregation
from medallion_jobs.aggregate.foreign import has_changed
from medallion_jobs.aggregate.touched import MAX_BROADCAST, RETRACTED, Touched
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import SOURCE, TARGET, Commit, Txn
from medallion_jobs.lake.tables.sql import col, column
from medallion_jobs.lake.values.type_walk import INCOMPARABLE, has
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from delta.tables import DeltaMergeBuilder
    from pyspark.sql import Column, DataFrame, SparkSession

# Columns of Delta's change feed.
CHANGE, VERSION = "_change_type", "_commit_version"

# Hidden columns of groups: whether the values are added to the old ones; whether the table has
# the group; whether it is deleted; whether it is inserted.
_ADDS, _WAS, _GONE, _IS_NEW = "adds to the old", "was in the table", "is deleted", "is new"

_FEW_FILES = 4

# Few groups are broadcast, so there is nothing to plan again after each stage; adaptive execution
# was a fifth of the cost of such a batch.
_WITHOUT_ADAPTIVE = {"spark.sql.adaptive.enabled": "false"}

# The name under which a commit records the version of the source.
SOURCE_VERSION = "source_version"


@dataclass(frozen=True)
class Followed:
    """The result of a batch.

    Attributes:
        rows_in: how many rows of the source were inserted, updated or deleted.
        recomputed: how many groups were computed from the source.
        written: how many rows of the table were inserted, updated or deleted.
    """

    rows_in: int
    recomputed: int
    written: int


@dataclass(frozen=True)
class Step:
    """Brings a gold table to one version of its source.

    Attributes:
        source, target: the paths of the two tables.
        version: the version of the source.
    """

    aggregation: Aggregation
    source: Location
    target: Location
    version: int
    txn: Txn

    def build(self, spark: SparkSession) -> Followed:
        """Writes the whole table from the source at the version."""
        self._replace(spark, new_schema=True)
        return self._rebuilt

    def _replace(self, spark: SparkSession, *, new_schema: bool) -> None:
        whole = self.aggregation.of(self.source_rows(spark))
        layout = self.aggregation.table.layout
        tables.replace(whole, self.target, self._txn, new_schema=new_schema, layout=layout)

    @property
    def _rebuilt(self) -> Followed:
        groups = tables.rows_written(self.target, self.txn)
        source = tables.snapshot(self.source, self.version)
        return Followed(source.rows if source else 0, groups, groups)

    def follow(self, changes: DataFrame) -> Followed:
        """Applies changes of the source to the table.

        A table whose rows somebody else has changed is rewritten from the source.

        Args:
            changes: rows of the source's change feed, up to the version; changes that the
                table has already are ignored.
        """
        newest = self._newest
        if newest and has_changed(self.target, newest.version):
            self._replace(changes.sparkSession, new_schema=False)
            return self._rebuilt
        # Without a commit of the query in the log, all changes are new.
        known = int(newest.user_metadata[SOURCE_VERSION]) if newest else -1
        with _Cache() as cached:
            placed = cached(self.aggregation.placed(changes.where(col(VERSION) > known)))
            touched = Touched.by(placed, self.aggregation.anchors, col(CHANGE) != "insert")
            cached(touched.groups)
            if not touched.count:
                tables.commit_only(changes.sparkSession, self.target, self._txn)
                return Followed(touched.rows, 0, 0)
            settings = _WITHOUT_ADAPTIVE if touched.count <= MAX_BROADCAST else {}
            with tables.with_conf(changes.sparkSession, settings):
                batch = _Batch(self, placed, touched)
                written = self._merge(batch, cached(batch.changed()))
            return Followed(touched.rows, batch.recomputed_count, written)

    def _merge(self, batch: _Batch, changed: DataFrame) -> int:
        """Merges groups into the table.

        Returns:
            How many rows of the table changed.
        """
        count, new = _sizes(changed)
        if not count:
            tables.commit_only(changed.sparkSession, self.target, self._txn)
            return 0
        if count <= MAX_BROADCAST:
            # Otherwise each pass of the MERGE would sort the table by its keys.
            changed = F.broadcast(changed)
        clauses = partial(batch.clauses, has_new_groups=new > 0)
        done = tables.merge(changed, self.target, self._txn, batch.same_group(), clauses)
        return done.inserted + done.updated + done.deleted

    def source_rows(self, spark: SparkSession) -> DataFrame:
        """All rows of the source at the version."""
        read = spark.read.format("delta").option("versionAsOf", self.version)
        return read.load(str(self.source))

    def target_rows(self, spark: SparkSession) -> DataFrame:
        """The table's current rows."""
        return spark.read.format("delta").load(str(self.target))

    @property
    def _txn(self) -> Txn:
        """The transaction, with the source's version for the commit to record."""
        return replace(self.txn, notes={**self.txn.notes, SOURCE_VERSION: self.version})

    @property
    def _newest(self) -> Commit | None:
        """The query's newest commit in the table; None if the log does not have it."""
        snapshot = tables.snapshot(self.target)
        batch = snapshot.txn(self.txn.app_id) if snapshot else -1
        return tables.commit_of(self.target, self.txn.app_id, batch)


@dataclass(frozen=True)
class _Batch:
    """The groups that one batch touches, with their new values."""

    step: Step
    placed: DataFrame
    touched: Touched

    @property
    def aggregation(self) -> Aggregation:
        return self.step.aggregation

    @property
    def recomputed_count(self) -> int:
        """How many groups are computed from the source."""
        return self.touched.count if self._combine is None else self.touched.retracted

    @cached_property
    def _recomputed(self) -> Touched:
        """The groups that are computed from the source."""
        if self._combine is None:
            return self.touched
        return self.touched.only(col(RETRACTED))

    def changed(self) -> DataFrame:
        """The groups whose values differ from the table's."""
        keys, values = self.aggregation.keys, self.aggregation.values
        old = self._old()
        joined = (
            self._new().alias("new").join(old.alias("old"), _same("new", "old", keys), "full_outer")
        )
        gone, was = col(_ADDS, of="new").isNull(), col(_WAS, of="old").isNotNull()
        new_values = {name: self._new_value(name, was) for name in values}
        is_same = [
            # Maps and variants cannot be compared.
            F.lit(False)
            if has(old.schema[name].dataType, INCOMPARABLE)
            else value.eqNullSafe(col(name, of="old"))
            for name, value in new_values.items()
        ]
        key_of = {k: F.when(gone, col(k, of="old")).otherwise(col(k, of="new")) for k in keys}
        groups = joined.where(~reduce(and_, is_same, was & ~gone)).select(
            *[value.alias(name) for name, value in {**key_of, **new_values}.items()],
            gone.alias(_GONE),
            (~was).alias(_IS_NEW),
        )
        return self.aggregation.finished(groups, _GONE, _IS_NEW)

    @cached_property
    def _combine(self) -> Mapping[str, Callable[[Column, Column], Column]] | None:
        """How added rows update each measure; None if one measure has to be recomputed."""
        found = self.aggregation.additive(self.aggregation.aggregated(self.placed).schema)
        return found if set(self.aggregation.values) <= set(found) else None

    def _new_value(self, name: str, was: Column) -> Column:
        """The new value of a group: the old one combined with new rows, or recomputed."""
        new = col(name, of="new")
        if self._combine is None:
            return new
        combined = self._combine[name](col(name, of="old"), new)
        return F.when(col(_ADDS, of="new") & was, combined).otherwise(new)

    def _new(self) -> DataFrame:
        """The touched groups: aggregates of their new rows, or of all their rows."""
        parts = []
        if self.recomputed_count < self.touched.count:
            gaining = self.touched.only(~col(RETRACTED))
            rows = gaining.rows_of(self.placed) if self.recomputed_count else self.placed
            parts.append(self.aggregation.aggregated(rows).withColumn(_ADDS, F.lit(True)))
        if self.recomputed_count:
            # Skips files that have none of the groups.
            rows = self.step.source_rows(self.placed.sparkSession)
            same = set(self.aggregation.table.group_by or ()) - set(self.aggregation.folders)
            own = {name: col(name) for name in same}
            skips = self._skips(self._recomputed, self.step.source, own)
            placed = self.aggregation.placed(rows.where(skips))
            groups = self.aggregation.aggregated(self._recomputed.rows_of(placed))
            parts.append(groups.withColumn(_ADDS, F.lit(False)))
        return reduce(lambda left, right: left.unionByName(right), parts)

    def _old(self) -> DataFrame:
        """The touched groups as they are in the table."""
        rows = self.step.target_rows(self.placed.sparkSession)
        own = {name: col(name) for name in self.aggregation.anchors}
        skips = self._skips(self.touched, self.step.target, own)
        return self.touched.rows_of(rows.where(skips)).withColumn(_WAS, F.lit(True))

    def _skips(self, groups: Touched, table: Location, own: Mapping[str, Column]) -> Column:
        """A condition that every row of the groups fulfils, to skip files of the table."""
        snapshot = tables.snapshot(table)
        # Spark compiles the values into code, again for each batch: with a few files that costs
        # more than it saves.
        is_worth_it = snapshot and snapshot.files > _FEW_FILES
        return groups.skips(own) if is_worth_it else F.lit(True)

    def same_group(self) -> Column:
        """The condition that a row of the table and a merged group are the same group."""
        own = {name: col(name, of=TARGET) for name in self.aggregation.anchors}
        skips = self._skips(self.touched, self.step.target, own)
        return _same(TARGET, SOURCE, self.aggregation.keys) & skips

    def clauses(self, builder: DeltaMergeBuilder, *, has_new_groups: bool) -> DeltaMergeBuilder:
        """The clauses of the MERGE.

        Args:
            has_new_groups: whether there are groups that the table does not have. Without an
                insert clause, a MERGE uses faster joins.
        """
        gone = col(_GONE, of=SOURCE)
        values: dict[str, str | Column] = {
            column(name): col(name, of=SOURCE) for name in self.aggregation.columns_in_order
        }
        builder = builder.whenMatchedDelete(gone).whenMatchedUpdate(set=values)
        return builder.whenNotMatchedInsert(~gone, values=values) if has_new_groups else builder


def _sizes(changed: DataFrame) -> tuple[int, int]:
    """How many groups there are, and how many of them are new. Computes (and caches) all."""
    (found,) = changed.agg(F.count("*"), F.count_if(col(_IS_NEW))).collect()
    return found[0], found[1]


def _same(left: str, right: str, columns: tuple[str, ...]) -> Column:
    """Whether rows of two frames, given by alias, are of the same group; nulls are equal."""
    pairs = [col(n, of=left).eqNullSafe(col(n, of=right)) for n in columns]
    return reduce(and_, pairs)


class _Cache(ExitStack):
    """Caches frames until the end of the block."""

    def __call__(self, frame: DataFrame) -> DataFrame:
        frame.persist(StorageLevel.MEMORY_AND_DISK)
        self.callback(frame.unpersist)
        return frame
