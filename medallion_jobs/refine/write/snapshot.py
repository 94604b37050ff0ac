"""Applies full dumps of a table: what a dump has is inserted or updated, what it lacks is deleted.

Before a batch is written, each of its dumps is either applied or refused, in their order: see
`decided`. The decisions are recorded in a small table, so that a batch which runs again after a
crash decides the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructField, StructType

from medallion_jobs.config import Snapshot
from medallion_jobs.config.apply_changes import END_AT, START_AT
from medallion_jobs.errors import DataError
from medallion_jobs.lake import tables
from medallion_jobs.lake.columns import INPUT_FILE
from medallion_jobs.lake.hidden_columns import DUMP, OUTCOME, hidden
from medallion_jobs.lake.tables.observing import observing
from medallion_jobs.lake.tables.sql import col, column
from medallion_jobs.lake.values.canonical import canonical
from medallion_jobs.refine.write import merge_plan, versions
from medallion_jobs.refine.write.keyed_batch import WriteResult, existing, kept
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

APPLIED, AGAIN, REFUSED = "applied", "applied before", "refused"
_LOG = (
    "app_id string, batch bigint, dump string, decision string, reason string, rows bigint, "
    "keys bigint, missing bigint"
)
_GOOD = "good"


def dump_of(settings: Snapshot) -> Column:
    """The value that marks the dump of a row."""
    names = {
        "file": column(INPUT_FILE),
        "folder": f"regexp_extract({column(INPUT_FILE)}, '^(.*)/', 1)",
    }
    return F.expr(names.get(settings.dump, settings.dump))


def extra_fields(settings: Snapshot, kind: DataType) -> list[StructField]:
    """The columns that are added to those of a dump.

    Args:
        kind: the type of the value that marks a dump.
    """
    added = (START_AT, END_AT) if settings.has_history else ()
    return [StructField(name, kind) for name in added]


@dataclass(frozen=True)
class Decisions:
    """Which dumps of a batch are applied, in their order, and why others are refused.

    Attributes:
        applied: the values that mark the dumps, as text.
        refused: by such a value, the reason.
        unmarked: the reason for rows whose dump is null; None if there are none.
    """

    applied: Sequence[str] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    unmarked: str | None = None


@dataclass(frozen=True)
class Dumps:
    """The dumps of a batch, and the table that they are applied to.

    Attributes:
        rows: judged rows: the columns of the table, `DUMP` and `OUTCOME`.
        log_path: the table of earlier decisions.
    """

    rows: DataFrame
    settings: Snapshot
    path: Location
    columns: tuple[str, ...]
    log_path: Location

    @property
    def _values(self) -> list[str]:
        return [name for name in self.columns if name not in self.settings.keys]

    @property
    def _kind(self) -> DataType:
        return self.rows.schema[DUMP].dataType

    @property
    def _keys(self) -> list[Column]:
        return [col(key) for key in self.settings.keys]

    def decided(self, txn: tables.Txn) -> Decisions:
        """Decides about each dump of the batch, from the oldest to the newest; records it.

        A dump is refused if it is older than the last one that was applied, if it has different
        rows of one key, or if it lacks more keys of the table than `max_missing` allows.

        Raises:
            DataError: a dump is refused, and `on_refused` is `fail`; or a key is null.
        """
        spark = self.rows.sparkSession
        tables.create(
            spark, self.log_path, _schema(_LOG), comment="Dumps of a table, and what became of them"
        )
        recorded = self._log(spark).where(col("app_id") == txn.app_id)
        own: list[Any] = recorded.where(col("batch") == txn.batch).collect()
        if not own:
            with kept(self.rows.select(*self._needed)) as rows:
                own = self._decide(rows, recorded, txn)
            made = spark.createDataFrame(own, _LOG)
            tables.append(made, self.log_path, txn)
        refused = {row["dump"]: row["reason"] for row in own if row["decision"] == REFUSED}
        unmarked = refused.pop(None, None)
        applied = [row["dump"] for row in own if row["decision"] == APPLIED]
        return Decisions(applied, refused, unmarked)

    @property
    def _needed(self) -> list[Column]:
        good = (hidden(OUTCOME) == _GOOD).alias(_GOOD)
        return [*(col(name) for name in self.columns), hidden(DUMP), good]

    def _log(self, spark: SparkSession) -> DataFrame:
        return spark.read.format("delta").load(str(self.log_path))

    def _decide(
        self, rows: DataFrame, recorded: DataFrame, txn: tables.Txn
    ) -> list[dict[str, Any]]:
        keyless = reduce(or_, (key.isNull() for key in self._keys))
        values = F.struct(
            F.lit(1), *(canonical(col(n), rows.schema[n].dataType) for n in self._values)
        )
        by_key = rows.groupBy(hidden(DUMP), *self._keys).agg(
            F.count(F.lit(1)).alias("rows"),
            F.count_if(col(_GOOD)).alias("good rows"),
            F.count_distinct(F.when(col(_GOOD), values)).alias("forms"),
        )
        shown = F.to_json(F.struct(*self._keys))
        found = (
            by_key.groupBy(hidden(DUMP))
            .agg(
                F.sum("rows").alias("rows"),
                F.count(F.lit(1)).alias("keys"),
                # A rule may have set aside rows without a key.
                F.sum(F.when(keyless, col("good rows")).otherwise(0)).alias("keyless"),
                F.count_if(col("forms") > 1).alias("doubtful"),
                F.min(F.when(col("forms") > 1, shown)).alias("example"),
                hidden(DUMP).cast("string").alias("dump"),
            )
            .orderBy(hidden(DUMP))
            # Python has no dates before the year 1.
            .drop(hidden(DUMP))
            .collect()
        )
        if wrong := [row for row in found if row["keyless"]]:
            raise DataError(
                f"{self._name}: {wrong[0]['keyless']:,} rows of the dump {wrong[0]['dump']} have a "
                f"null in their key ({', '.join(self.settings.keys)})",
                code="key_missing",
                untouched="nothing of this batch was written",
                next_step="add an expectation `not_null` that quarantines such rows",
            )
        last = self._last(recorded)
        known = self._live(rows.sparkSession).select(*self._keys)
        decided = []
        for row in found:
            this = rows.where(hidden(DUMP).eqNullSafe(F.lit(row["dump"]).cast(self._kind)))
            decision, reason, missing = self._about(row, this, known, last)
            if decision == APPLIED:
                last, known = row["dump"], this.select(*self._keys).distinct()
            decided.append(
                {
                    "app_id": txn.app_id,
                    "batch": txn.batch,
                    "dump": row["dump"],
                    "decision": decision,
                    "reason": reason,
                    "rows": row["rows"],
                    "keys": row["keys"],
                    "missing": missing,
                }
            )
        refused = [row for row in decided if row["decision"] == REFUSED]
        if refused and self.settings.on_refused == "fail":
            raise DataError(
                f"{self._name}: the dump {refused[0]['dump']} is refused: {refused[0]['reason']}",
                code="dump_refused",
                untouched="nothing of this batch was written",
                next_step="remove the dump from the source (`medallion files`), or allow it: "
                "`snapshot.max_missing`, `snapshot.on_refused: quarantine`",
            )
        return decided

    def _about(
        self, row: Any, this: DataFrame, known: DataFrame, last: str | None
    ) -> tuple[str, str | None, int]:
        """The decision about one dump, the reason, and how many known keys it lacks."""
        if row["dump"] is None:
            return REFUSED, f"`snapshot.dump` is null for {row['rows']:,} rows", 0
        if last is not None and row["dump"] == last and not row["doubtful"] and self._is_in(this):
            return AGAIN, None, 0
        if last is not None and not self._is_newer(this, last):
            kind = "the same as" if row["dump"] == last else "older than"
            return REFUSED, f"it is {kind} the dump {last}, which is applied", 0
        if row["doubtful"]:
            return (
                REFUSED,
                f"{row['doubtful']:,} keys have different rows in it, such as {row['example']}",
                0,
            )
        (keys,) = known.agg(F.count(F.lit(1))).collect()[0]
        lacking = known.join(this, list(self.settings.keys), "left_anti").count()
        if keys and lacking > self.settings.max_missing * keys:
            return (
                REFUSED,
                f"it lacks {lacking:,} of the {keys:,} keys that the table has "
                f"({lacking / keys:.0%}), more than max_missing ({self.settings.max_missing:.0%})",
                lacking,
            )
        return APPLIED, None, lacking

    def _last(self, recorded: DataFrame) -> str | None:
        """The last dump that was applied."""
        newest = F.max(F.col("dump").cast(self._kind)).cast("string").alias("dump")
        found = recorded.where(col("decision") == APPLIED).agg(newest).first()
        assert found is not None  # an aggregate without groups has one row
        return None if found["dump"] is None else str(found["dump"])

    def _is_newer(self, this: DataFrame, last: str) -> bool:
        newer = this.where(hidden(DUMP) > F.lit(last).cast(self._kind))
        return bool(newer.limit(1).count())

    def _is_in(self, this: DataFrame) -> bool:
        """Whether the table has all good rows of a dump as they are."""
        live = self._live(this.sparkSession)
        names = [existing(name) for name in self.columns]
        stands = live.select(*(col(n).alias(e) for n, e in zip(self.columns, names, strict=True)))
        same = reduce(
            and_,
            (
                canonical(col(n), this.schema[n].dataType).eqNullSafe(
                    canonical(col(existing(n)), this.schema[n].dataType)
                )
                for n in self.columns
            ),
        )
        return this.where(col(_GOOD)).join(stands, same, "left_anti").limit(1).count() == 0

    def _live(self, spark: SparkSession) -> DataFrame:
        """The rows of the table that are valid now."""
        table = spark.read.format("delta").load(str(self.path))
        return table.where(col(END_AT).isNull()) if self.settings.has_history else table

    @property
    def _name(self) -> str:
        return f"{self.path.parent.name}.{self.path.name}"

    def write(self, applied: Sequence[str], txn: tables.Txn) -> WriteResult:
        """Applies these dumps, in one commit, even if nothing changes."""
        with observing(self.rows.sparkSession), kept(self.rows.select(*self._needed)) as rows:
            of_dumps = (
                rows.where(hidden(DUMP).cast("string").isin(*applied))
                if applied
                else (rows.where(F.lit(False)))
            )
            count = rows.count()
            planned = (
                self._versions(of_dumps)
                if self.settings.has_history
                else (self._newest(of_dumps, applied))
            )
            match = (*self.settings.keys, *((START_AT,) if self.settings.has_history else ()))
            written = (*self.columns, *((START_AT, END_AT) if self.settings.has_history else ()))
            plan = merge_plan.MergePlan(
                match=match,
                within="true",
                columns=written,
                update={n: merge_plan.source(n) for n in written if n not in match},
            )
            done = merge_plan.carry_out(planned, self.path, txn, plan)
        effective = done.rows_out + done.updated
        return WriteResult(
            written=done.written,
            rows_out=done.rows_out,
            updated=done.updated,
            deleted=done.deleted,
            ignored=max(0, count - effective),
        )

    def _newest(self, rows: DataFrame, applied: Sequence[str]) -> DataFrame:
        """The difference between the table and the newest dump."""
        newest = rows.where(hidden(DUMP).cast("string") == (applied[-1] if applied else ""))
        good = newest.where(col(_GOOD))
        # A row that is set aside says that its key is still there.
        aside = (
            newest.where(~col(_GOOD))
            .select(*self._keys)
            .join(good, list(self.settings.keys), "left_anti")
        )
        wanted = good.dropDuplicates(list(self.settings.keys))
        stands = self._live(rows.sparkSession).join(aside, list(self.settings.keys), "left_anti")
        if not applied:
            stands = stands.where(F.lit(False))
        return merge_plan.difference(
            wanted.select(*(col(name) for name in self.columns)), stands, self.settings.keys
        )

    def _versions(self, rows: DataFrame) -> DataFrame:
        """The difference between the table's open versions and what the dumps make of them."""
        keys = list(self.settings.keys)
        values = F.struct(*(col(name) for name in self._values))
        stands = self._live(rows.sparkSession)
        opened = stands.select(
            *self._keys,
            col(START_AT).alias(versions.SEQUENCE),
            F.lit(versions.UPSERT).alias(versions.CHANGE),
            values.alias(versions.VALUES),
        )
        good = rows.where(col(_GOOD)).select(
            *self._keys,
            hidden(DUMP).alias(versions.SEQUENCE),
            F.lit(versions.UPSERT).alias(versions.CHANGE),
            values.alias(versions.VALUES),
        )
        present = rows.select(*self._keys, hidden(DUMP).alias(versions.SEQUENCE)).distinct()
        every = opened.select(*self._keys).unionByName(present.select(*self._keys)).distinct()
        each = every.crossJoin(F.broadcast(present.select(versions.SEQUENCE).distinct()))
        gone = each.join(present, [*keys, versions.SEQUENCE], "left_anti")
        gone = gone.withColumn(versions.CHANGE, F.lit(versions.DELETE))
        changes = opened.unionByName(good).unionByName(gone, allowMissingColumns=True)
        changes = changes.withColumn(versions.GIVEN, F.lit(None).cast("array<string>"))
        tracked = self.settings.tracked_of(self._values)
        result = versions.history(changes, keys, (), tracked)
        wanted = result.select(
            *self._keys,
            *(col(versions.VALUES)[name].alias(name) for name in self._values),
            col(versions.STARTS).alias(START_AT),
            col(versions.ENDS).alias(END_AT),
        )
        return merge_plan.difference(wanted, stands, (*keys, START_AT))


def refused_rows(dump: Column, decisions: Decisions) -> Column:
    """The reason why the dump of a row is refused; null if it is not."""
    pairs = [F.lit(text) for pair in decisions.refused.items() for text in pair]
    by_mark = F.element_at(F.create_map(*pairs), dump.cast("string")) if pairs else F.lit(None)
    return F.coalesce(by_mark, F.when(dump.isNull(), F.lit(decisions.unmarked))).cast("string")


def _schema(ddl: str) -> StructType:
    from medallion_jobs.lake.tables.schema import parse_ddl  # noqa: PLC0415

    return parse_ddl(ddl)
