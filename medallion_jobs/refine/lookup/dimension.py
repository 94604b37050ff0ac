"""A dimension table at the version that one batch reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    NullType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from medallion_jobs.config import Lookup, Reference, SilverTable, TableRef
from medallion_jobs.errors import DataError, NoSuchColumn, UsageError
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.lake.tables.sql import col, over_row
from medallion_jobs.refine.lookup import age, duplicate_keys, hidden_columns, keys, unknown_member
from medallion_jobs.refine.lookup.duplicate_keys import Checked
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

NEVER_WRITTEN = datetime(1970, 1, 1, tzinfo=timezone.utc)


def check_dimension(name: TableRef, path: Location, made: Collection[Location] = ()) -> None:
    """Raises UsageError if the table does not exist. Runs without a JVM.

    Args:
        made: paths of tables that this run creates before it reads them.
    """
    if path not in made and snapshot(path) is None:
        raise UsageError(
            f"there is no dimension {name} at {path}",
            code="dimension_missing",
            untouched="nothing was started",
            next_step="create it, or create the sample one with `medallion generate --files 0`",
        )


@dataclass(frozen=True)
class Dimension:
    """A lookup, and one version of its table.

    Attributes:
        written_at: when rows of this version were last written.
        rows: one row for each key (and validity), in hidden columns (`hidden_columns`): the
            keys, never null, and the taken columns, with `as_of` also the validity. With
            `as_of` and `one_by`: all rows of a key as an array in their order.
        unknown: by column, the constants for rows without a match; without them, nulls.
    """

    lookup: Lookup
    version: int
    written_at: datetime
    rows: DataFrame
    unknown: Mapping[str, Column] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        spark: SparkSession,
        lookup: Lookup,
        path: Location,
        *,
        version: int | None = None,
        checked: Checked | None = None,
        table: SilverTable | None = None,
    ) -> Dimension:
        """Reads one version of the table.

        Args:
            version: None: the newest.
            checked: versions that need no check for duplicate keys; None: always check.
            table: the config of the table, if it has an unknown member.

        Raises:
            UsageError: the table lacks a column that the lookup names.
            DataError: the table or the version is missing, or it has duplicate keys.
        """
        newest = snapshot(path)
        if newest is None or (version is not None and version > newest.version):
            missing = "" if newest is None else f" in version {version}"
            raise DataError(
                f"{lookup.table} is missing{missing} at {path}",
                code="dimension_missing",
                untouched="nothing of the batch is written",
                next_step="put it back, then run again",
            )
        version = newest.version if version is None else version
        # The check of the keys and the join must read the same version.
        reader = spark.read.format("delta").option("versionAsOf", version)
        written_at = age.written_at(lookup.table, path, version)
        dimension = cls.of(lookup, reader.load(str(path)), version, written_at, config=table)
        if lookup.one_by is None and not (checked and checked.has(lookup, newest.id, version)):
            duplicate_keys.refuse(lookup, dimension.rows)
            if checked:
                checked.note(lookup, newest.id, version)
        return dimension

    @classmethod
    def of(
        cls,
        lookup: Lookup,
        table: DataFrame,
        version: int = 0,
        written_at: datetime = NEVER_WRITTEN,
        *,
        config: SilverTable | None = None,
    ) -> Dimension:
        """A frame as a dimension, without the check for duplicate keys.

        Args:
            config: the config of the table, if it has an unknown member.

        Raises:
            UsageError: it lacks a column that the lookup names, or its dates are text.
        """
        _check(lookup, table)
        whole = table.where(hidden_columns.all_of(col(name).isNotNull() for name in lookup.on))
        is_used = config is not None and unknown_member.uses_unknown_member(lookup)
        constants = unknown_member.member(config, table.schema) if config and is_used else {}
        return cls(lookup, version, written_at, _join_side(lookup, whole), constants)

    @classmethod
    def placeholder(
        cls,
        spark: SparkSession,
        lookup: Lookup,
        rows: DataFrame,
        types: Mapping[str, DataType],
    ) -> Dimension:
        """An empty dimension in place of a table that does not exist yet.

        Args:
            rows: the rows to look up; the keys get the types that they have there.
            types: the types of the taken columns, by their new names; the default is string.
        """
        found = {name: _type_in(rows, sql) for name, sql in lookup.on.items()}
        dates = (lookup.valid_from, lookup.valid_to) if lookup.as_of else ()
        for name in dates:
            found.setdefault(name, TimestampType())
        for here, name in lookup.take.items():
            found.setdefault(name, types.get(here, StringType()))
        empty = StructType([StructField(name, kind) for name, kind in found.items()])
        # The order may name columns that are not known here.
        unordered = lookup.model_copy(update={"one_by": None})
        return cls.of(unordered, spark.createDataFrame([], empty))


def keys_of(spark: SparkSession, reference: Reference, path: Location, version: int) -> DataFrame:
    """The distinct keys of one version of a dimension, without nulls.

    Raises:
        UsageError: the dimension lacks a column that the reference names.
    """
    table = spark.read.format("delta").option("versionAsOf", version).load(str(path))
    _check_columns(reference.table, table, reference.on, "`on` of the rule")
    return table.select(*map(col, reference.on)).dropna().distinct()


def versions(dimensions: Sequence[Dimension]) -> dict[str, int]:
    """The version of each dimension, by `layer.name`."""
    return {str(dimension.lookup.table): dimension.version for dimension in dimensions}


def versions_column(dimensions: Sequence[Dimension]) -> Column:
    """The same as a constant map<string,bigint>."""
    found = versions(dimensions)
    names = F.array(*[F.lit(name) for name in found]).cast("array<string>")
    numbers = F.array(*[F.lit(number) for number in found.values()]).cast("array<bigint>")
    return F.map_from_arrays(names, numbers)


def _check(lookup: Lookup, table: DataFrame) -> None:
    dates = (lookup.valid_from, lookup.valid_to) if lookup.as_of else ()
    where = "`on`, `take`, `valid_from` or `valid_to`" if dates else "`on` or `take`"
    wanted = [*lookup.on, *dates, *lookup.take.values()]
    _check_columns(lookup.table, table, wanted, f"{where} of the lookup")
    texts = [name for name in dates if isinstance(table.schema[name].dataType, StringType)]
    if texts:
        raise UsageError(
            f"{', '.join(texts)} of {lookup.table} is text, not comparable with a timestamp",
            code="validity_not_comparable",
            untouched="nothing of the batch is written",
            next_step=f"make it a date or a timestamp in {lookup.table}",
        )


def _check_columns(name: TableRef, table: DataFrame, wanted: Iterable[str], where: str) -> None:
    missing = [column for column in dict.fromkeys(wanted) if column not in table.columns]
    if missing:
        raise NoSuchColumn(
            str(name),
            missing,
            table.columns,
            code="dimension_column_missing",
            untouched="nothing of the batch is written",
            next_step=f"fix {where} in the config",
        )


def _join_side(lookup: Lookup, table: DataFrame) -> DataFrame:
    """The dimension's side of the join."""
    if lookup.as_of and lookup.before_first == "first":
        table = _open_at_first(lookup, table)
    wanted = {hidden_columns.key(number): name for number, name in enumerate(lookup.on)}
    wanted |= {hidden_columns.taken(name): name for name in lookup.take.values()}
    if lookup.as_of:
        wanted |= {
            hidden_columns.VALID_FROM: lookup.valid_from,
            hidden_columns.VALID_TO: lookup.valid_to,
        }
    columns = [col(name).alias(hidden) for hidden, name in wanted.items()]
    if lookup.one_by is None:
        return table.select(*columns)
    ranked = duplicate_keys.ranked(lookup, table).select(*columns, col(duplicate_keys.RANK))
    if lookup.as_of is None:
        return ranked.where(col(duplicate_keys.RANK) == 1).drop(duplicate_keys.RANK)
    return _grouped(lookup, ranked)


def _open_at_first(lookup: Lookup, table: DataFrame) -> DataFrame:
    """The rows; the first row of each key is also valid for all time before it.

    Rows with an empty validity, such as those of deleted keys, are never the first.
    """
    begin, end = col(lookup.valid_from), col(lookup.valid_to)
    is_valid = end.isNull() | (begin < end)
    of_key = Window.partitionBy(*map(col, lookup.on))
    is_first = is_valid & (begin == F.min(F.when(is_valid, begin)).over(of_key))
    return table.withColumn(lookup.valid_from, F.when(~F.coalesce(is_first, F.lit(False)), begin))


def _grouped(lookup: Lookup, ranked: DataFrame) -> DataFrame:
    """One row for each key, with all rows of that key as an array in their order."""
    hidden = [hidden_columns.key(number) for number, _ in enumerate(lookup.on)]
    rest = [name for name in ranked.columns if name not in hidden]
    gathered = F.collect_list(F.struct(*[col(name) for name in rest]))
    in_order = F.array_sort(
        gathered, lambda left, right: left[duplicate_keys.RANK] - right[duplicate_keys.RANK]
    )
    return ranked.groupBy(*[col(name) for name in hidden]).agg(
        in_order.alias(hidden_columns.VERSIONS)
    )


def _type_in(rows: DataFrame, sql: str) -> DataType:
    kind = keys.type_of(rows, over_row(rows, sql))
    return StringType() if isinstance(kind, NullType) else kind
