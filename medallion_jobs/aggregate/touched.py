"""Which groups a batch touches, and how to read no more of a table than can hold them."""

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

# Hidden columns: whether a row of the group was changed or removed, not only added; how many
# rows of the batch are in the group.
RETRACTED, _ROWS = "a row was retracted", "rows of batch"

# Values of a key that are named one by one; of more, the smallest and the largest.
_NAMED_AT_MOST = 50
# A small side of a join is sent to every task; so many keys take a few megabytes.
SENT_AT_MOST = 200_000

# Types whose values come to the driver and go back as they are, or as a number.
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
        groups: the anchors of each group once, and whether it lost a row.
    """

    groups: DataFrame
    anchors: tuple[str, ...]

    @classmethod
    def by(cls, placed: DataFrame, anchors: Sequence[str], retracts: Column) -> Touched:
        """The groups of `placed` rows, of which some take a row away."""
        # Without anchors, all rows are one group.
        groups = placed.groupBy(*map(col, anchors)).agg(
            F.bool_or(retracts).alias(RETRACTED), F.count("*").alias(_ROWS)
        )
        return cls(groups.where(col(RETRACTED).isNotNull()), tuple(anchors))

    def only(self, condition: Column) -> Touched:
        """Those of them that fit a condition."""
        return Touched(self.groups.where(condition), self.anchors)

    @cached_property
    def count(self) -> int:
        """How many groups."""
        return int(self._extent["count"])

    @cached_property
    def rows(self) -> int:
        """How many rows of the batch."""
        return int(self._extent["rows"] or 0)

    @cached_property
    def retracted(self) -> int:
        """How many of them lost a row."""
        return int(self._extent["retracted"])

    def rows_of(self, table: DataFrame) -> DataFrame:
        """The rows of a table that belong to these groups; all its files may be looked at."""
        small = self.groups.select(*map(col, self.anchors)).alias("touched")
        if not self.anchors:
            return table
        same = F.lit(True)
        for name in self.anchors:
            same &= col(name, of="rows").eqNullSafe(col(name, of="touched"))
        if self.count <= SENT_AT_MOST:
            small = F.broadcast(small)
        return table.alias("rows").join(small, same, "left_semi")

    def within(self, name: str, of: Column) -> Column | None:
        """A condition that every row of these groups fits, by one anchor, for skipping files.

        Args:
            of: the anchor's column in the table to read.

        Returns:
            None where the anchor's type says nothing to Delta's statistics.
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
            return None  # bytes that are no text do not come back as they were
        if values is not None:
            fits = of.isin([_literal(value, kind) for value in values])
        else:
            fits = of.between(_literal(least, kind), _literal(most, kind))
        return (fits | of.isNull()) if has_null else fits

    def skips(self, columns: Mapping[str, Column]) -> Column:
        """All that `within` knows, for the anchors that the table has as columns of its own."""
        known = [self.within(name, of) for name, of in columns.items()]
        return reduce(
            lambda one, other: one & other, [k for k in known if k is not None], F.lit(True)
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
        """The different values, without null, of those anchors that have few of them."""
        # A single anchor is another one in each group.
        is_single = len(self.anchors) == 1
        if self.count > (_NAMED_AT_MOST + 1 if is_single else SENT_AT_MOST):
            return {}
        # One more than may be named tells that there are too many.
        sets = [
            F.slice(F.collect_set(_portable(col(name), kind)), 1, _NAMED_AT_MOST + 1)
            for name, kind in self._plain.items()
        ]
        found = self.groups.agg(*[one.alias(n) for n, one in zip(self._plain, sets, strict=True)])
        values = found.collect()[0]
        return {n: values[n] for n in self._plain if len(values[n]) <= _NAMED_AT_MOST}

    @property
    def _plain(self) -> dict[str, DataType]:
        types = {name: self.groups.schema[name].dataType for name in self.anchors}
        return {name: kind for name, kind in types.items() if isinstance(kind, _PLAIN)}


def _portable(value: Column, kind: DataType) -> Column:
    # A date of the year 20245 is none to Python, and a timestamp's would pass through the
    # driver's time zone.
    if isinstance(kind, DateType):
        return F.unix_date(value)
    return F.unix_micros(value) if isinstance(kind, TimestampType) else value


def _literal(value: Any, kind: DataType) -> Column:
    plain = F.lit(value)
    if isinstance(kind, DateType):
        return F.date_from_unix_date(plain)
    return F.timestamp_micros(plain) if isinstance(kind, TimestampType) else plain.cast(kind)
