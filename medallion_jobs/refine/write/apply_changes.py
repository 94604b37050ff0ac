"""Applies changes of rows to a table: SCD type 1 or 2, by key and sequence.

The batch's changes go to the change log. The keys that they touch are computed from all their
changes, and what differs from the table is merged into it, in one commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, MapType, StructField, StructType, VariantType

from medallion_jobs import clock
from medallion_jobs.config import ApplyChanges, SilverTable
from medallion_jobs.config.apply_changes import END_AT, START_AT
from medallion_jobs.errors import DataError, UsageError
from medallion_jobs.lake import tables
from medallion_jobs.lake.columns import OLD_KEY, UNAVAILABLE
from medallion_jobs.lake.hidden_columns import IS_ASIDE, hidden, row_type
from medallion_jobs.lake.tables.observing import observing
from medallion_jobs.lake.tables.sql import col, column
from medallion_jobs.lake.values.type_walk import has
from medallion_jobs.refine.transform.readers import Row
from medallion_jobs.refine.write import gaps, key_changes, merge_plan, transactions, versions
from medallion_jobs.refine.write.change_log import ARRIVED, NO_VALUES, ChangeLog
from medallion_jobs.refine.write.keyed_batch import WriteResult, bounds, computed, range_by
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_MAX_SHOWN = 3


def sequence_type(columns: StructType, names: Sequence[str]) -> DataType:
    """The type of a sequence: that of its column, or a struct of several.

    Raises:
        UsageError: its values have no order.
    """
    kind = (
        columns[names[0]].dataType
        if len(names) == 1
        else StructType([StructField(name, columns[name].dataType) for name in names])
    )
    if has(kind, (MapType, VariantType)):
        raise UsageError(
            f"{', '.join(names)} cannot order changes: {kind.simpleString()} has no order",
            code="sequence_not_orderable",
            untouched="nothing was written",
            next_step="name other columns in `apply_changes.sequence_by` of the table",
        )
    return kind


def extra_fields(settings: ApplyChanges, columns: StructType) -> list[StructField]:
    """The columns that are added to those of a change.

    Args:
        columns: the columns of a change.
    """
    if not settings.has_history:
        return []
    kind = sequence_type(columns, settings.spelled_as(columns.names).sequence_by)
    if taken := [name for name in columns.names if name.upper() in (START_AT, END_AT)]:
        raise UsageError(
            f"the changes have a column {', '.join(taken)}, which SCD type 2 adds to the table",
            code="reserved_column",
            untouched="nothing was written",
            next_step="give it another name: `rename` of the table in the config",
        )
    return [StructField(START_AT, kind), StructField(END_AT, kind)]


def write(
    rows: DataFrame,
    table: SilverTable,
    path: Location,
    columns: Sequence[str],
    txn: tables.Txn,
    *,
    log_path: Location,
    marks: DataFrame | None = None,
) -> WriteResult:
    """Applies a batch of changes, in one commit of the table.

    Args:
        rows: the changes. With `transactional`, rows that the table's rules set aside are among
            them: those with `IS_ASIDE`.
        columns: the columns of the table, without those that are added.
        log_path: the path of the change log.
        marks: with `transactional`, the marks of transactions in the batch; None: the rows were
            set aside before.

    Raises:
        DataError: a change has a null in its key or its sequence, or changes before it are
            missing; nothing was written.
    """
    assert table.apply_changes is not None
    settings = table.apply_changes.spelled_as(rows.columns)
    log = ChangeLog(log_path, settings.keys)
    applied = _Applied(rows, table, settings, path, tuple(columns), log)
    with observing(rows.sparkSession), computed(applied.changes) as changes:
        return applied.write(changes, marks, txn)


def tidy_if_due(
    spark: SparkSession, settings: ApplyChanges, log_path: Location, moment: datetime
) -> str | None:
    """Removes changes on which nothing depends any more from a change log that has grown.

    Returns:
        A note for the user; None if nothing was done.
    """
    stored = spark.read.format("delta").load(str(log_path)).columns
    settings = settings.spelled_as(stored)
    return ChangeLog(log_path, settings.keys).tidy_if_due(spark, settings, moment)


@dataclass(frozen=True)
class _Applied:
    """One batch that is applied to a table."""

    rows: DataFrame
    table: SilverTable
    settings: ApplyChanges
    path: Location
    columns: tuple[str, ...]
    log: ChangeLog

    @cached_property
    def _values(self) -> list[str]:
        """The columns besides the key."""
        return [name for name in self.columns if name not in self.settings.keys]

    @cached_property
    def _parts(self) -> list[versions.Part]:
        """The parts of a row that a change may lack; empty if each change gives all."""
        if not (self.settings.ignore_null_updates or UNAVAILABLE in self.rows.columns):
            return []
        values = self.rows.select(*(col(name) for name in self._values)).schema
        return versions.parts_of(values, self.settings)

    @property
    def changes(self) -> DataFrame:
        """The rows as changes, with the columns of the change log."""
        settings = self.settings
        truncates, deletes = (
            F.coalesce(F.expr(sql), F.lit(False)) if sql else F.lit(False)
            for sql in (settings.apply_as_truncates, settings.apply_as_deletes)
        )
        change = (
            F.when(truncates, versions.TRUNCATE)
            .when(deletes, versions.DELETE)
            .otherwise(versions.UPSERT)
        )
        if IS_ASIDE in self.rows.columns:
            change = F.when(hidden(IS_ASIDE), transactions.ASIDE).otherwise(change)
        # Neither a truncate nor a delete has values that count.
        is_upsert = ~truncates & ~deletes
        own = [col(name) for name in self._values]
        # A struct needs a field, even if a table has only keys.
        values = F.struct(*(own or [F.lit(None).cast("boolean").alias(NO_VALUES)]))
        return self.rows.select(
            *(F.when(~truncates, col(key)).alias(key) for key in settings.keys),
            self._sequence.alias(versions.SEQUENCE),
            change.alias(versions.CHANGE),
            F.when(is_upsert, values).alias(versions.VALUES),
            F.when(is_upsert, self._given).alias(versions.GIVEN),
            F.when(is_upsert, self._moved_from).alias(versions.MOVED_FROM),
            F.lit(clock.now()).alias(ARRIVED),
            *([gaps.begins().alias(gaps.BEGINS)] if self._sees_gaps else []),
            *(transactions.columns_of(self._listed) if self.settings.transactional else []),
        )

    @property
    def _listed(self) -> tuple[str, ...]:
        """The tables of the database whose changes these are."""
        envelope = self.table.envelope
        return (envelope.tables if envelope else None) or ()

    @property
    def _sees_gaps(self) -> bool:
        settings = self.settings
        is_seen = gaps.are_seen(self.rows.columns, settings.sequence_by)
        return settings.on_gap == "fail" and is_seen

    @property
    def _sequence(self) -> Column:
        """The sequence of a change; null if all of its columns are."""
        names = self.settings.sequence_by
        if len(names) == 1:
            return col(names[0])
        some = reduce(or_, (col(name).isNotNull() for name in names))
        return F.when(some, F.struct(*(col(name) for name in names)))

    @property
    def _moved_from(self) -> Column:
        """The key that the row had before; null if its key is not changed, or that is not known."""
        keys = self.settings.keys
        fields = ", ".join(
            f"{column(key)}: {self.rows.schema[key].dataType.simpleString()}" for key in keys
        )
        unknown = F.lit(None).cast(f"struct<{fields}>")
        if OLD_KEY not in self.rows.columns:
            return unknown
        old = self.rows.schema[OLD_KEY].dataType
        if not isinstance(old, StructType) or {*keys} - {*old.names}:
            return unknown
        names = [col(OLD_KEY)[key] for key in keys]
        whole = reduce(and_, (name.isNotNull() for name in names))
        return F.when(whole, F.struct(*(n.alias(k) for n, k in zip(names, keys, strict=True))))

    @property
    def _given(self) -> Column:
        """The names of the parts that a change gives; null if it gives all."""
        lacking: dict[str, Column] = {}
        for path in self._parts:
            value = col(path[0])
            for name in path[1:]:
                value = value.getField(name)
            is_null = value.isNull() if self.settings.ignore_null_updates else F.lit(False)
            lacking[versions.name_of(path)] = is_null | self._is_unavailable(path[0])
        if not lacking:
            return F.lit(None).cast("array<string>")
        names = (F.when(~lacks, F.lit(name)) for name, lacks in lacking.items())
        # Named even if all are given: of a column that the table gets later, nothing is known.
        return F.array_compact(F.array(*names))

    def _is_unavailable(self, name: str) -> Column:
        """Whether the source did not send what a column of the table is computed from."""
        if UNAVAILABLE not in self.rows.columns:
            return F.lit(False)
        read = F.array(*(F.lit(column) for column in self._reads[name]))
        return F.coalesce(F.arrays_overlap(col(UNAVAILABLE), read), F.lit(False))

    @cached_property
    def _reads(self) -> Mapping[str, Sequence[str]]:
        """By column of the table, the columns of the change that it is computed from."""
        row = Row.of(row_type(self.rows))
        for name, sql in self.table.columns.items():
            row = row.having({name: row.made_from(sql)})
        old = {new.lower(): name for name, new in self.table.rename.items()}
        found = {}
        for name in self._values:
            read = {value.column for value in row.columns.get(name.lower(), frozenset())} or {name}
            found[name] = sorted({old.get(column.lower(), column) for column in read})
        return found

    def write(self, changes: DataFrame, marks: DataFrame | None, txn: tables.Txn) -> WriteResult:
        """Writes the changes to the log, and what they change to the table."""
        found = self._checked(changes)
        changes, count, notes = changes.drop(gaps.BEGINS), found["changes"], tuple[str, ...]()
        if self.settings.transactional:
            held = transactions.Transactions.beside(self.log.path, self.settings.keys)
            settled = held.settled(changes, marks, txn)
            changes, notes = settled.changes, settled.notes
            found = self._counts(changes)
        done = self._write(changes, found, txn)
        effective = done.rows_out + done.updated + done.deleted
        return replace(done, ignored=max(0, count - effective), notes=notes)

    def _checked(self, changes: DataFrame) -> dict[str, Any]:
        """The counts of a batch that may be applied.

        Raises:
            DataError: it may not.
        """
        found, name = self._counts(changes), f"{self.path.parent.name}.{self.path.name}"
        if found["nulls"]:
            raise self._refusal(changes, found["nulls"])
        if self.settings.transactional:
            strangers = found["unlisted"]
            transactions.refuse_unlisted(strangers, self.rows, self._listed, name)
        if self._sees_gaps and (found[gaps.SNAPSHOT] or found[gaps.STREAM]):
            log = changes.sparkSession.read.format("delta").load(str(self.log.path))
            past = log.select(versions.SEQUENCE).unionByName(changes.select(versions.SEQUENCE))
            gaps.refuse(found, past, self.rows, name)
        return found

    def _write(self, changes: DataFrame, found: Mapping[str, Any], txn: tables.Txn) -> WriteResult:
        keys = self.settings.keys
        if found["moves"]:
            stored = changes.sparkSession.read.format("delta").load(str(self.log.path))
            changes = key_changes.filled(changes, stored, keys, self._parts)
        self.log.add(changes, txn)
        keyed = changes.where(col(versions.CHANGE) != versions.TRUNCATE)
        touched, within = None, "true"
        if not found["truncates"]:
            touched = keyed.select(*(col(key) for key in keys)).distinct()
            within = range_by(changes, keys, found)
        truncates = self.settings.apply_as_truncates is not None
        stored = self.log.of(touched, within, changes.sparkSession, truncates=truncates)
        return merge_plan.carry_out(
            merge_plan.difference(
                self._result(stored), self._stands(touched, within, changes), self._match
            ),
            self.path,
            txn,
            merge_plan.MergePlan(
                match=self._match,
                within=within,
                columns=self._written,
                update={n: merge_plan.source(n) for n in self._written if n not in self._match},
            ),
        )

    def _counts(self, changes: DataFrame) -> dict[str, Any]:
        kind = col(versions.CHANGE)
        counted = changes.agg(
            F.count_if(kind != transactions.ASIDE).alias("changes"),
            F.count_if(kind == versions.TRUNCATE).alias("truncates"),
            F.count_if(self._is_nowhere).alias("nulls"),
            F.count_if(key_changes.lacks_values(self._parts)).alias("moves"),
            *bounds(changes, self.settings.keys),
            *(gaps.counted() if gaps.BEGINS in changes.columns else []),
            *(
                [F.count_if(transactions.is_unlisted()).alias("unlisted")]
                if transactions.TRANSACTION in changes.columns
                else []
            ),
        ).first()
        assert counted is not None  # an aggregate without groups has one row
        return counted.asDict()

    @property
    def _is_nowhere(self) -> Column:
        """Whether a change has a null in its key or its sequence."""
        no_key = reduce(or_, (col(key).isNull() for key in self.settings.keys))
        is_keyed = col(versions.CHANGE) != versions.TRUNCATE
        is_own = col(versions.CHANGE) != transactions.ASIDE
        return is_own & (col(versions.SEQUENCE).isNull() | (is_keyed & no_key))

    def _refusal(self, changes: DataFrame, count: int) -> DataError:
        """The error for changes with a null in their key or their sequence."""
        settings = self.settings
        shown = changes.where(self._is_nowhere).limit(_MAX_SHOWN).collect()
        keys = [key for key in settings.keys if any(row[key] is None for row in shown)]
        no_sequence = any(row[versions.SEQUENCE] is None for row in shown)
        names = [*keys, *(settings.sequence_by if no_sequence else ())]
        samples = "; ".join(
            f"{row[versions.CHANGE]} of "
            + ", ".join(f"{key}={row[key]}" for key in settings.keys)
            + f" at {row[versions.SEQUENCE]}"
            for row in shown
        )
        where = f"{self.path.parent.name}.{self.path.name}"
        step = (
            f"add an expectation `not_null: [{', '.join(names)}]` that quarantines such rows, or "
            "leave them out by `where`"
        )
        if no_sequence:
            return DataError(
                f"{count:,} changes for {where} have no {' or no '.join(names)}, such as {samples}",
                code="sequence_missing",
                untouched="nothing of this batch was written",
                next_step=step,
            )
        return DataError(
            f"{count:,} changes for {where} have no {' or no '.join(names)}, such as {samples}",
            code="key_missing",
            untouched="nothing of this batch was written",
            next_step=step,
        )

    @property
    def _match(self) -> tuple[str, ...]:
        """The columns that identify a row of the table."""
        return (*self.settings.keys, *((START_AT,) if self.settings.has_history else ()))

    @property
    def _written(self) -> tuple[str, ...]:
        """All columns of the table."""
        return (*self.columns, *((START_AT, END_AT) if self.settings.has_history else ()))

    def _result(self, stored: DataFrame) -> DataFrame:
        """What the keys come to by all their changes, as rows of the table."""
        keys, own = self.settings.keys, {}
        if self.settings.has_history:
            tracked = self.settings.tracked_of(self._values)
            result = versions.history(stored, keys, self._parts, tracked)
            own = {START_AT: versions.STARTS, END_AT: versions.ENDS}
        else:
            result = versions.current(stored, keys, self._parts)
        return result.select(
            *(col(key) for key in keys),
            *(col(versions.VALUES)[name].alias(name) for name in self._values),
            *(col(inner).alias(name) for name, inner in own.items()),
        )

    def _stands(self, touched: DataFrame | None, within: str, changes: DataFrame) -> DataFrame:
        """The rows of the table with these keys."""
        table = changes.sparkSession.read.format("delta").load(str(self.path))
        table = table.alias(tables.TARGET).where(within)
        if touched is not None:
            table = table.join(touched, list(self.settings.keys), "left_semi")
        return table
