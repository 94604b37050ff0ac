"""Incremental mode: a gold table that follows the changes of its source, group by group.

A batch is what happened to the source between two of its versions. The groups that its rows
belong to are the only ones that can come out otherwise than before. A group that only gained
rows goes on from its old values, where every measure allows it; any other is computed anew
from the source as of the batch's last version. All of it is one MERGE, once.

The table holds nothing but what is declared: no counts of its own to keep right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)
from pyspark.sql.types import MapType, VariantType

from medallion_jobs.aggregate.aggregation import Aggregation
from medallion_jobs.aggregate.complete import has_type
from medallion_jobs.aggregate.foreign import has_changed
from medallion_jobs.aggregate.touched import RETRACTED, SENT_AT_MOST, Touched
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import SOURCE, TARGET, Commit, Txn
from medallion_jobs.lake.tables.sql import col, column
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from delta.tables import DeltaMergeBuilder
    from pyspark.sql import Column, DataFrame, SparkSession

# What Delta's change feed says of each row.
CHANGE, VERSION = "_change_type", "_commit_version"

# Hidden columns of groups under way.
_GOES_ON, _WAS, _GONE, _IS_NEW = "goes on from the old", "was there", "is gone", "is new"

_FEW_FILES = 4

# Few groups are joined by sending them to every task: there is nothing to plan anew after each
# stage, which was a fifth of what such a batch cost.
_PLANNED_ONCE = {"spark.sql.adaptive.enabled": "false"}

# What a commit notes: the version of the source that the table stands for.
SOURCE_VERSION = "source_version"


@dataclass(frozen=True)
class Followed:
    """What a batch came to.

    Attributes:
        rows_in: rows of the source that were added, changed or removed.
        anew: groups that were computed from the source.
        written: rows of the table that were added, changed or removed.
    """

    rows_in: int
    anew: int
    written: int


@dataclass(frozen=True)
class Step:
    """What brings a table to one version of its source.

    Attributes:
        source, target: the folders of the two tables.
        version: of the source.
    """

    aggregation: Aggregation
    source: Location
    target: Location
    version: int
    txn: Txn

    def build(self, spark: SparkSession) -> Followed:
        """Writes the whole table from the source as of the version."""
        self._replace(spark, new_schema=True)
        return self._rebuilt

    def _replace(self, spark: SparkSession, *, new_schema: bool) -> None:
        whole = self.aggregation.of(self.source_rows(spark))
        layout = self.aggregation.table.layout
        tables.replace(whole, self.target, self._noting, new_schema=new_schema, layout=layout)

    @property
    def _rebuilt(self) -> Followed:
        groups = tables.rows_written(self.target, self.txn)
        there = tables.snapshot(self.source, self.version)
        return Followed(there.rows if there else 0, groups, groups)

    def follow(self, changes: DataFrame) -> Followed:
        """Brings the table on from where it is.

        Args:
            changes: rows of the source's change feed, up to the version; those that the table
                stands for already are passed over. A table whose rows somebody else has
                changed is written anew.
        """
        newest = self._newest
        if newest and has_changed(self.target, newest.version):
            self._replace(changes.sparkSession, new_schema=False)
            return self._rebuilt
        # An old log is cleaned away; whatever comes of the source after that is new.
        known = int(newest.user_metadata[SOURCE_VERSION]) if newest else -1
        with _Kept() as kept:
            placed = kept(self.aggregation.placed(changes.where(col(VERSION) > known)))
            touched = Touched.by(placed, self.aggregation.anchors, col(CHANGE) != "insert")
            kept(touched.groups)
            if not touched.count:
                self._note(changes.sparkSession)
                return Followed(touched.rows, 0, 0)
            settings = _PLANNED_ONCE if touched.count <= SENT_AT_MOST else {}
            with tables.with_conf(changes.sparkSession, settings):
                batch = _Batch(self, placed, touched)
                written = self._merge(batch, kept(batch.changed()))
            return Followed(touched.rows, batch.anew_count, written)

    def _merge(self, batch: _Batch, changed: DataFrame) -> int:
        """Puts groups in the place of those that were; returns how many rows that changed."""
        count, new = _sizes(changed)
        if not count:
            self._note(changed.sparkSession)
            return 0
        if count <= SENT_AT_MOST:
            # Else the table itself would be sorted by its keys, in each pass of the MERGE.
            changed = F.broadcast(changed)
        clauses = partial(batch.clauses, brings_groups=new > 0)
        done = tables.merge(changed, self.target, self._noting, batch.same_group(), clauses)
        return done.inserted + done.updated + done.deleted

    def source_rows(self, spark: SparkSession) -> DataFrame:
        """All rows of the source, as of the version."""
        read = spark.read.format("delta").option("versionAsOf", self.version)
        return read.load(str(self.source))

    def target_rows(self, spark: SparkSession) -> DataFrame:
        """The table's rows as they are."""
        return spark.read.format("delta").load(str(self.target))

    @property
    def _noting(self) -> Txn:
        return replace(self.txn, notes={**self.txn.notes, SOURCE_VERSION: self.version})

    @property
    def _newest(self) -> Commit | None:
        """The query's newest commit in the table."""
        there = tables.snapshot(self.target)
        batch = there.txn(self.txn.app_id) if there else -1
        return tables.commit_of(self.target, self.txn.app_id, batch)

    def _note(self, spark: SparkSession) -> None:
        """Commits the transaction alone, by which the batch is known to be done."""
        nothing = spark.createDataFrame([], self.target_rows(spark).schema)
        tables.append(nothing, self.target, self._noting)


@dataclass(frozen=True)
class _Batch:
    """The groups that one batch touches, as they are to be."""

    step: Step
    placed: DataFrame
    touched: Touched

    @property
    def aggregation(self) -> Aggregation:
        return self.step.aggregation

    @property
    def anew_count(self) -> int:
        """How many groups are computed from the source."""
        return self.touched.count if self._combine is None else self.touched.retracted

    @cached_property
    def _anew(self) -> Touched:
        if self._combine is None:
            return self.touched
        return self.touched.only(col(RETRACTED))

    def changed(self) -> DataFrame:
        """The groups that come out otherwise than they are in the table."""
        keys, values = self.aggregation.keys, self.aggregation.values
        there = self._old()
        joined = (
            self._new()
            .alias("new")
            .join(there.alias("old"), _same("new", "old", keys), "full_outer")
        )
        gone, was = col(_GOES_ON, of="new").isNull(), col(_WAS, of="old").isNotNull()
        settled = {name: self._settled(name, was) for name in values}
        is_same = [
            # Of a map or a variant nobody can say.
            F.lit(False)
            if has_type((MapType, VariantType), there.schema[name].dataType)
            else value.eqNullSafe(col(name, of="old"))
            for name, value in settled.items()
        ]
        key_of = {k: F.when(gone, col(k, of="old")).otherwise(col(k, of="new")) for k in keys}
        groups = joined.where(~reduce(and_, is_same, was & ~gone)).select(
            *[value.alias(name) for name, value in {**key_of, **settled}.items()],
            gone.alias(_GONE),
            (~was).alias(_IS_NEW),
        )
        return self.aggregation.finished(groups, _GONE, _IS_NEW)

    @cached_property
    def _combine(self) -> Mapping[str, Callable[[Column, Column], Column]] | None:
        """How each measure goes on by rows that were added; None where one of them cannot."""
        ways = self.aggregation.additive(self.aggregation.aggregated(self.placed).schema)
        return ways if set(self.aggregation.values) <= set(ways) else None

    def _settled(self, name: str, was: Column) -> Column:
        """A value of a group: what its new rows make of the old one, or what it is anew."""
        new = col(name, of="new")
        if self._combine is None:
            return new
        together = self._combine[name](col(name, of="old"), new)
        return F.when(col(_GOES_ON, of="new") & was, together).otherwise(new)

    def _new(self) -> DataFrame:
        """The touched groups: what they gained, or what they are anew."""
        parts = []
        if self.anew_count < self.touched.count:
            gaining = self.touched.only(~col(RETRACTED))
            rows = gaining.rows_of(self.placed) if self.anew_count else self.placed
            parts.append(self.aggregation.aggregated(rows).withColumn(_GOES_ON, F.lit(True)))
        if self.anew_count:
            # Without the files that hold none of the groups.
            rows = self.step.source_rows(self.placed.sparkSession)
            same = set(self.aggregation.table.group_by or ()) - set(self.aggregation.folders)
            own = {name: col(name) for name in same}
            skips = self._skips(self._anew, self.step.source, own)
            placed = self.aggregation.placed(rows.where(skips))
            again = self.aggregation.aggregated(self._anew.rows_of(placed))
            parts.append(again.withColumn(_GOES_ON, F.lit(False)))
        return reduce(lambda one, other: one.unionByName(other), parts)

    def _old(self) -> DataFrame:
        """The touched groups as they are in the table."""
        rows = self.step.target_rows(self.placed.sparkSession)
        own = {name: col(name) for name in self.aggregation.anchors}
        skips = self._skips(self.touched, self.step.target, own)
        there = self.touched.rows_of(rows.where(skips))
        return there.withColumn(_WAS, F.lit(True))

    def _skips(self, groups: Touched, table: Location, own: Mapping[str, Column]) -> Column:
        """What every row of the groups fits, where it can spare a look into files."""
        there = tables.snapshot(table)
        # The values are part of the code that Spark makes and compiles, anew for each batch:
        # of a few files, that costs more than it spares.
        is_worth = there and there.files > _FEW_FILES
        return groups.skips(own) if is_worth else F.lit(True)

    def same_group(self) -> Column:
        """What is true of a row of the table and the group that takes its place."""
        own = {name: col(name, of=TARGET) for name in self.aggregation.anchors}
        skips = self._skips(self.touched, self.step.target, own)
        return _same(TARGET, SOURCE, self.aggregation.keys) & skips

    def clauses(self, builder: DeltaMergeBuilder, *, brings_groups: bool) -> DeltaMergeBuilder:
        """What becomes of the table's rows.

        Args:
            brings_groups: whether there are groups that the table does not have. Where it is
                told that there are none, a MERGE reads the table by quicker joins.
        """
        gone = col(_GONE, of=SOURCE)
        values: dict[str, str | Column] = {
            column(name): col(name, of=SOURCE) for name in self.aggregation.columns_in_order
        }
        builder = builder.whenMatchedDelete(gone).whenMatchedUpdate(set=values)
        return builder.whenNotMatchedInsert(~gone, values=values) if brings_groups else builder


def _sizes(changed: DataFrame) -> tuple[int, int]:
    """How many groups there are, and how many of them are new; all of them are then computed."""
    (found,) = changed.agg(F.count("*"), F.count_if(col(_IS_NEW))).collect()
    return found[0], found[1]


def _same(one: str, other: str, columns: tuple[str, ...]) -> Column:
    """Whether rows of two frames are of one group; null is a value as any other."""
    pairs = [col(n, of=one).eqNullSafe(col(n, of=other)) for n in columns]
    return reduce(and_, pairs)


class _Kept(ExitStack):
    """Frames that are computed once, and let go in the end."""

    def __call__(self, frame: DataFrame) -> DataFrame:
        frame.persist(StorageLevel.MEMORY_AND_DISK)
        self.callback(frame.unpersist)
        return frame
