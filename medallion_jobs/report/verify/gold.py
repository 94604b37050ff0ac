"""Compares a gold table with an aggregation of its source: missing, extra and different groups.

Both sides are united and grouped by the table's keys, so that one pass finds every difference.
Nulls are equal, in keys and in values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, get_args

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DoubleType,
    FloatType,
    MapType,
    NumericType,
    StructType,
    VariantType,
)

from medallion_jobs.aggregate.aggregation import Aggregation
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

What = Literal["missing", "extra", "repeated", "different"]
_WHATS: tuple[What, ...] = get_args(What)

# Sums of floating-point numbers differ in their last digits with the order of addition.
TOLERANCE = 1e-9

# Hidden columns: a row of each side as a struct, and the number of a group's rows in gold. The
# third side has the computed columns, derived from the measures in gold.
_GOLD, _SOURCE, _OWN, _COPIES = "gold side", "source side", "own side", "rows in gold"
_GROUP, _WHAT, _VALUES, _KEYS = "group as text", "kind of difference", "values as text", "keys"
_NESTED = (ArrayType, MapType, StructType, VariantType)


@dataclass(frozen=True)
class Difference:
    """A group that differs between the two sides.

    Attributes:
        group: the keys, as text.
        what: missing from gold, extra in gold, more than once in gold (`repeated`), or
            different in a column.
        values: by column, gold's value and the source's, as text. Has all columns if one side
            lacks the group, and none for a repeated group.
        copies: the number of the group's rows in gold.
    """

    group: Mapping[str, str | None]
    what: What
    values: Mapping[str, tuple[str | None, str | None]]
    copies: int


@dataclass(frozen=True)
class Comparison:
    """A comparison of a gold table with its source.

    Attributes:
        gold, source: the number of groups on each side.
        counts: the number of differing groups by kind of difference.
        columns: the number of `different` groups by column.
        tolerant: columns of floating-point numbers, which are compared with a tolerance.
        shown: the first differences, in the order of the keys.
    """

    gold: int
    source: int
    counts: Mapping[What, int]
    columns: Mapping[str, int]
    tolerant: tuple[str, ...]
    shown: tuple[Difference, ...]

    @property
    def differing(self) -> int:
        return sum(self.counts.values())


def compare(
    name: str, gold: DataFrame, source: DataFrame, aggregation: Aggregation, show: int
) -> Comparison:
    """Compares gold with the aggregation of its source.

    Args:
        name: the gold table's name, for messages.
        gold: the gold table's rows.
        source: all rows of its source, at the version that gold has read.
        show: the maximum number of differences to return in full.

    Raises:
        UsageError: gold lacks a column that the config declares, or has it with another type.
    """
    expected = aggregation.of(source)
    _check_columns(name, gold.schema, expected.schema, str(aggregation.table.from_))
    values = [column for column in expected.columns if column not in aggregation.keys]
    kinds = {column: expected.schema[column].dataType for column in values}
    groups = _united(gold.select(expected.columns), expected, aggregation, values)
    compared = _compared(groups, aggregation.keys, kinds, set(aggregation.table.columns))
    found = _counted(compared, values, show)
    return Comparison(
        gold=found["in gold"],
        source=found["in source"],
        counts={what: found[what] for what in _WHATS if found[what]},
        columns={name: found[_differing(name)] for name in values if found[_differing(name)]},
        tolerant=tuple(column for column, kind in kinds.items() if _is_inexact(kind)),
        shown=tuple(_difference(row) for row in found["shown"] or ()),
    )


def _check_columns(name: str, has: StructType, wanted: StructType, source: str) -> None:
    existing = {field.name: field.dataType for field in has}
    wrong = [
        f"{field.name}: missing"
        if field.name not in existing
        else f"{field.name}: its type is {existing[field.name].simpleString()}, from {source} "
        f"it is {field.dataType.simpleString()}"
        for field in wanted
        if field.name not in existing or not _fit(existing[field.name], field.dataType)
    ]
    if wrong:
        raise UsageError(
            f"{name} has other columns than the config declares:\n  " + "\n  ".join(wrong),
            code="columns_differ",
            untouched="nothing was compared",
            next_step="bring it in line with the config: `medallion run gold`; then verify again",
        )


def _fit(data_type: DataType, other: DataType) -> bool:
    same = data_type.simpleString() == other.simpleString()
    return same or (isinstance(data_type, NumericType) and isinstance(other, NumericType))


def _united(
    gold: DataFrame, expected: DataFrame, aggregation: Aggregation, values: Sequence[str]
) -> DataFrame:
    """One row per group, with the row of each side that has the group."""
    sides = {_GOLD: gold, _SOURCE: expected}
    if aggregation.table.columns and any(_is_inexact(expected.schema[v].dataType) for v in values):
        sides[_OWN] = aggregation.finished(gold)
    keys = [col(key) for key in aggregation.keys]
    row = F.struct(*[col(name) for name in values])
    tagged = [frame.select(*keys, row.alias(side)) for side, frame in sides.items()]
    together = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), tagged)
    rows = [F.any_value(col(side), F.lit(True)).alias(side) for side in sides]
    return together.groupBy(*keys).agg(F.count(col(_GOLD)).alias(_COPIES), *rows)


def _compared(
    groups: DataFrame, keys: Sequence[str], kinds: Mapping[str, DataType], computed: set[str]
) -> DataFrame:
    """Each group with its difference; null if both sides agree."""
    in_gold, in_source = col(_GOLD).isNotNull(), col(_SOURCE).isNotNull()
    own = _OWN in groups.columns
    shown = []
    for name, kind in kinds.items():
        gold, source = col(_GOLD)[name], col(_SOURCE)[name]
        same = _same(gold, source, kind)
        if own and name in computed:
            # Rounding or a threshold can turn a difference in the last digit into a large one:
            # a column that follows from gold's own measures is right.
            same |= _same(gold, col(_OWN)[name], kind)
        value = F.struct(
            F.lit(name).alias("column"),
            _text(gold, groups.schema[_GOLD].dataType[name].dataType).alias("gold"),  # type: ignore[index]
            _text(source, kind).alias("source"),
        )
        shown.append(F.when(~in_gold | ~in_source | ~same, value))
    differences = F.filter(F.array(*shown), lambda value: value.isNotNull()) if shown else F.array()
    what = (
        F.when(~in_gold, "missing")
        .when(col(_COPIES) > 1, "repeated")
        .when(~in_source, "extra")
        .when(F.size(differences) > 0, "different")
    )
    return groups.select(
        F.struct(*[_text(col(k), groups.schema[k].dataType).alias(k) for k in keys]).alias(_GROUP),
        F.struct(*[col(key) for key in keys]).alias(_KEYS),
        col(_COPIES),
        in_source.alias(_SOURCE),
        what.alias(_WHAT),
        F.when(what != "repeated", differences).alias(_VALUES),
    )


def _counted(compared: DataFrame, values: Sequence[str], show: int) -> Mapping[str, Any]:
    """All counts, and the first differences, if there are any."""
    what, differences = col(_WHAT), col(_VALUES)
    names = F.transform(differences, lambda value: value["column"])
    (found,) = compared.agg(
        F.count_if(col(_COPIES) > 0).alias("in gold"),
        F.count_if(col(_SOURCE)).alias("in source"),
        *(F.count_if(what == kind).alias(kind) for kind in _WHATS),
        *(
            F.count_if((what == "different") & F.array_contains(names, name)).alias(
                _differing(name)
            )
            for name in values
        ),
    ).collect()
    counts = dict(zip(found.__fields__, found, strict=True))
    if not any(counts[kind] for kind in _WHATS):
        return {**counts, "shown": []}
    wrong = compared.where(what.isNotNull()).orderBy(col(_KEYS))
    return {**counts, "shown": wrong.limit(show).collect()}


def _differing(name: str) -> str:
    """The name of the count of groups that differ in a column; no other count has it."""
    return f"differing in {name}"


def _difference(row: Any) -> Difference:
    return Difference(
        group=row[_GROUP].asDict(),
        what=row[_WHAT],
        values={value["column"]: (value["gold"], value["source"]) for value in row[_VALUES] or ()},
        copies=row[_COPIES],
    )


def _same(left: Column, right: Column, kind: DataType) -> Column:
    """Whether two values are equal; null equals null, NaN equals NaN."""
    if isinstance(kind, MapType):
        left, right = (F.array_sort(F.map_entries(value)) for value in (left, right))
    elif isinstance(kind, VariantType):
        left, right = F.to_json(left), F.to_json(right)
    same = left.eqNullSafe(right)
    if not _is_inexact(kind):
        return same
    largest = F.greatest(F.abs(left), F.abs(right))
    # The bound on `largest` excludes NaN and infinity, which would be near to any number.
    near = (largest < float("inf")) & (F.abs(left - right) <= largest * TOLERANCE)
    return same | F.coalesce(left.isNotNull() & right.isNotNull() & near, F.lit(False))


def _is_inexact(kind: DataType) -> bool:
    return isinstance(kind, FloatType | DoubleType)


def _text(value: Column, kind: DataType) -> Column:
    if isinstance(kind, BinaryType):
        return F.hex(value)
    return F.to_json(value) if isinstance(kind, _NESTED) else value.cast("string")
