"""The groups that a batch touches, and how to read only the files that can have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    TimestampType,
)

from medallion_jobs.lake.tables.sql import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

# Hidden columns: whether a row of the group was updated or deleted, not only inserted; how many
# rows of the batch are in the group.
RETRACTED, _ROWS = "a row was retracted", "rows of batch"

# Up to this many values of a key are listed; of more, only the smallest and the largest.
_MAX_LISTED = 50
# Up to this many groups are broadcast in a join: they take a few megabytes.
MAX_BROADCAST = 200_000

# Types whose values can be collected and used as literals, as they are or as a number.
_PLAIN = (
    BooleanType,
    ByteType,
    ShortType,
    IntegerType,
    LongType,
    DecimalType,
    DateType,
    StringType,
    TimestampType,
)


@dataclass(frozen=True)
class Touched:
    """The groups that rows of a batch belong to.

    Attributes:
        groups: one row for each group: its anchors, and whether it lost a row.
        anchors: the keys that each row of the source has.
    """

    groups: DataFrame
    anchors: tuple[str, ...]

    @classmethod
    def by(cls, placed: DataFrame, anchors: Sequence[str], retracts: Column) -> Touched:
        """The groups of `placed` rows.

        Args:
            retracts: whether a row takes a row away from its group.
        """
        # Without anchors, all rows are one group.
        groups = placed.groupBy(*map(col, anchors)).agg(
            F.bool_or(retracts).alias(RETRACTED), F.count("*").alias(_ROWS)
        )
        return cls(groups.where(col(RETRACTED).isNotNull()), tuple(anchors))

    def only(self, condition: Column) -> Touched:
        """The groups that fulfil a condition."""
        return Touched(self.groups.where(condition), self.anchors)

    @cached_property
    def count(self) -> int:
        """How many groups."""
        return int(self._extent["count"])

    @cached_property
    def rows(self) -> int:
        """How many rows of the batch are in the groups."""
        return int(self._extent["rows"] or 0)

    @cached_property
    def retracted(self) -> int:
        """How many groups lost a row."""
        return int(self._extent["retracted"])

    def rows_of(self, table: DataFrame) -> DataFrame:
        """The rows of a table that belong to these groups. It skips no files by itself."""
        small = self.groups.select(*map(col, self.anchors)).alias("touched")
        if not self.anchors:
            return table
        same = F.lit(True)
        for name in self.anchors:
            same &= col(name, of="rows").eqNullSafe(col(name, of="touched"))
        if self.count <= MAX_BROADCAST:
            small = F.broadcast(small)
        return table.alias("rows").join(small, same, "left_semi")

    def within(self, name: str, of: Column) -> Column | None:
        """A condition on one anchor that every row of these groups fulfils, to skip files.

        Args:
            of: the anchor's column in the table to read.

        Returns:
            None if Delta's statistics cannot use the anchor's type or values.
        """
        kind = self._plain.get(name)
        if kind is None:
            return None
        least, most = self._extent[f"least {name}"], self._extent[f"most {name}"]
        has_null = bool(self._extent[f"null {name}"])
        if least is None:
            return of.isNull()
        values = self._values.get(name)
        if any("\ufffd" in str(value) for value in (*(values or ()), least, most)):
            return None  # bytes that are not UTF-8 are changed when they are collected
        if values is not None:
            fits = of.isin([_literal(value, kind) for value in values])
        else:
            fits = of.between(_literal(least, kind), _literal(most, kind))
        return (fits | of.isNull()) if has_null else fits

    def skips(self, columns: Mapping[str, Column]) -> Column:
        """The conditions of `within` for all anchors that are columns of the table.

        Args:
            columns: the table's column for each anchor.
        """
        known = [self.within(name, of) for name, of in columns.items()]
        return reduce(
            lambda left, right: left & right, [k for k in known if k is not None], F.lit(True)
        )

    @cached_property
    def _extent(self) -> Row:
        whole: list[Column] = [
            F.count("*").alias("count"),
            F.count_if(col(RETRACTED)).alias("retracted"),
            F.sum(col(_ROWS)).alias("rows"),
        ]
        for name, kind in self._plain.items():
            value = _portable(col(name), kind)
            whole += [
                F.min(value).alias(f"least {name}"),
                F.max(value).alias(f"most {name}"),
                F.bool_or(value.isNull()).alias(f"null {name}"),
            ]
        return self.groups.agg(*whole).collect()[0]

    @cached_property
    def _values(self) -> dict[str, list[Any]]:
        """The distinct values, without null, of the anchors that have few of them."""
        # A single anchor has another value in each group.
        is_single = len(self.anchors) == 1
        if self.count > (_MAX_LISTED + 1 if is_single else MAX_BROADCAST):
            return {}
        # One more than the limit, to detect that there are too many.
        sets = [
            F.slice(F.collect_set(_portable(col(name), kind)), 1, _MAX_LISTED + 1)
            for name, kind in self._plain.items()
        ]
        row = self.groups.agg(*[found.alias(n) for n, found in zip(self._plain, sets, strict=True)])
        values = row.collect()[0]
        return {n: values[n] for n in self._plain if len(values[n]) <= _MAX_LISTED}

    @property
    def _plain(self) -> dict[str, DataType]:
        types = {name: self.groups.schema[name].dataType for name in self.anchors}
        return {name: kind for name, kind in types.items() if isinstance(kind, _PLAIN)}


def _portable(value: Column, kind: DataType) -> Column:
    # Python has no dates after the year 9999, and would convert timestamps to the driver's time
    # zone.
    if isinstance(kind, DateType):
        return F.unix_date(value)
    return F.unix_micros(value) if isinstance(kind, TimestampType) else value


def _literal(value: Any, kind: DataType) -> Column:
    plain = F.lit(value)
    if isinstance(kind, DateType):
        return F.date_from_unix_date(plain)
    return F.timestamp_micros(plain) if isinstance(kind, TimestampType) else plain.cast(kind)
