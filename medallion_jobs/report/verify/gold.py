"""A gold table beside what its source comes to: groups missing, extra, repeated and different.

Both sides are put under one another and grouped by the table's keys, so that one pass finds
every difference, with nulls equal to each other in keys as in values.
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
from medallion_jobs.lake.tables.sql import col, column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

What = Literal["missing", "extra", "repeated", "different"]
_WHATS: tuple[What, ...] = get_args(What)

# Floating-point numbers that are added up in another order differ in their last digits.
TOLERANCE = 1e-9

# Hidden columns: a row of each side as a struct, and a group's rows in gold. The third side is
# what gold's own measures make of the columns computed from them.
_GOLD, _SOURCE, _OWN, _COPIES = "gold side", "source side", "own side", "rows in gold"
_GROUP, _WHAT, _VALUES, _PLACE = "group as text", "what it is", "values as text", "its place"
_NESTED = (ArrayType, MapType, StructType, VariantType)


@dataclass(frozen=True)
class Difference:
    """A group that is not alike on both sides.

    Attributes:
        group: the keys, as text.
        what: missing from gold, extra in gold, repeated in gold, or different in a column.
        values: by column, gold's value and the source's, as text; of a group that one side
            lacks, all columns; of a repeated one, none.
        copies: the group's rows in gold.
    """

    group: Mapping[str, str | None]
    what: What
    values: Mapping[str, tuple[str | None, str | None]]
    copies: int


@dataclass(frozen=True)
class Comparison:
    """A gold table held against its source.

    Attributes:
        gold, source: groups of each side.
        counts: groups by what they are, of those that are not alike.
        columns: groups that are different, by the column in which they are.
        tolerant: columns of floating-point numbers, which need not be equal to the last digit.
        shown: some of the differences, in the order of the keys.
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
    """Holds gold against what `source`, the table that it is made of, comes to.

    Args:
        name: what messages call the gold table.
        gold: the gold table's rows.
        source: the rows that it is made of, all of them, as of the same moment.
        show: differences to give in full, at most.

    Raises:
        UsageError: gold lacks a column that the config declares, or has it in another type.
    """
    right = aggregation.of(source)
    _checkcolumns(name, gold.schema, right.schema, str(aggregation.table.from_))
    values = [column for column in right.columns if column not in aggregation.keys]
    kinds = {column: right.schema[column].dataType for column in values}
    groups = _beside(gold.select(right.columns), right, aggregation, values)
    judged = _judged(groups, aggregation.keys, kinds, set(aggregation.table.columns))
    found = _counted(judged, values, show)
    return Comparison(
        gold=found["in gold"],
        source=found["in source"],
        counts={what: found[what] for what in _WHATS if found[what]},
        columns={name: found[_differing(name)] for name in values if found[_differing(name)]},
        tolerant=tuple(column for column, kind in kinds.items() if _is_inexact(kind)),
        shown=tuple(_difference(one) for one in found["shown"] or ()),
    )


def _checkcolumns(name: str, has: StructType, wanted: StructType, source: str) -> None:
    there = {field.name: field.dataType for field in has}
    wrong = [
        f"{field.name}: it is not there"
        if field.name not in there
        else f"{field.name}: it has {there[field.name].simpleString()}, and {source} gives "
        f"{field.dataType.simpleString()}"
        for field in wanted
        if field.name not in there or not _fit(there[field.name], field.dataType)
    ]
    if wrong:
        raise UsageError(
            f"{name} was made with other columns than the config declares:\n  "
            + "\n  ".join(wrong),
            untouched="nothing was compared",
            next_step="bring it up to the config: `medallion run gold`; then verify again",
        )


def _fit(data_type: DataType, other: DataType) -> bool:
    same = data_type.simpleString() == other.simpleString()
    return same or (isinstance(data_type, NumericType) and isinstance(other, NumericType))


def _beside(
    gold: DataFrame, right: DataFrame, aggregation: Aggregation, values: Sequence[str]
) -> DataFrame:
    """One row a group, with a row of each side, where there is one."""
    sides = {_GOLD: gold, _SOURCE: right}
    if aggregation.table.columns and any(_is_inexact(right.schema[v].dataType) for v in values):
        sides[_OWN] = aggregation.finished(gold)
    keys = [col(key) for key in aggregation.keys]
    row = F.struct(*[col(name) for name in values])
    tagged = [frame.select(*keys, row.alias(side)) for side, frame in sides.items()]
    together = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), tagged)
    rows = [F.any_value(col(side), F.lit(True)).alias(side) for side in sides]
    return together.groupBy(*keys).agg(F.count(col(_GOLD)).alias(_COPIES), *rows)


def _judged(
    groups: DataFrame, keys: Sequence[str], kinds: Mapping[str, DataType], computed: set[str]
) -> DataFrame:
    """Each group with what is wrong with it; null where nothing is."""
    in_gold, in_source = col(_GOLD).isNotNull(), col(_SOURCE).isNotNull()
    own = _OWN in groups.columns
    shown = []
    for name, kind in kinds.items():
        gold, source = col(_GOLD)[name], col(_SOURCE)[name]
        same = _same(gold, source, kind)
        if own and name in computed:
            # Rounding, or a bound, makes much of a last digit: a column that is right by the
            # measures beside it is right.
            same |= _same(gold, col(_OWN)[name], kind)
        value = F.struct(
            F.lit(name).alias("column"),
            _text(gold, groups.schema[_GOLD].dataType[name].dataType).alias("gold"),  # type: ignore[index]
            _text(source, kind).alias("source"),
        )
        shown.append(F.when(~in_gold | ~in_source | ~same, value))
    differences = F.filter(F.array(*shown), lambda one: one.isNotNull()) if shown else F.array()
    what = (
        F.when(~in_gold, "missing")
        .when(col(_COPIES) > 1, "repeated")
        .when(~in_source, "extra")
        .when(F.size(differences) > 0, "different")
    )
    return groups.select(
        F.struct(*[_text(col(k), groups.schema[k].dataType).alias(k) for k in keys]).alias(_GROUP),
        F.struct(*[col(key) for key in keys]).alias(_PLACE),
        col(_COPIES),
        in_source.alias(_SOURCE),
        what.alias(_WHAT),
        F.when(what != "repeated", differences).alias(_VALUES),
    )


def _counted(judged: DataFrame, values: Sequence[str], show: int) -> Mapping[str, Any]:
    """All that is to be told, in one row."""
    what, differences = col(_WHAT), col(_VALUES)
    names = F.transform(differences, lambda one: one["column"])
    told = ", ".join(map(column, (_GROUP, _WHAT, _VALUES, _COPIES)))
    first = F.expr(
        f"min_by(struct({told}), {column(_PLACE)}, {show})"
        f" FILTER (WHERE {column(_WHAT)} IS NOT NULL)"
    )
    (found,) = judged.agg(
        F.count_if(col(_COPIES) > 0).alias("in gold"),
        F.count_if(col(_SOURCE)).alias("in source"),
        *(F.count_if(what == one).alias(one) for one in _WHATS),
        *(
            F.count_if((what == "different") & F.array_contains(names, name)).alias(
                _differing(name)
            )
            for name in values
        ),
        first.alias("shown"),
    ).collect()
    return dict(zip(found.__fields__, found, strict=True))


def _differing(name: str) -> str:
    """What the count of groups that differ in a column is called; no other count is."""
    return f"differing in {name}"


def _difference(row: Any) -> Difference:
    return Difference(
        group=row[_GROUP].asDict(),
        what=row[_WHAT],
        values={one["column"]: (one["gold"], one["source"]) for one in row[_VALUES] or ()},
        copies=row[_COPIES],
    )


def _same(one: Column, other: Column, kind: DataType) -> Column:
    """Whether two values are alike; null is alike to null, NaN to NaN."""
    if isinstance(kind, MapType):
        one, other = (F.array_sort(F.map_entries(value)) for value in (one, other))
    elif isinstance(kind, VariantType):
        one, other = F.to_json(one), F.to_json(other)
    same = one.eqNullSafe(other)
    if not _is_inexact(kind):
        return same
    largest = F.greatest(F.abs(one), F.abs(other))
    # Both are numbers: NaN would be near to everything, infinity to every number.
    near = (largest < float("inf")) & (F.abs(one - other) <= largest * TOLERANCE)
    return same | F.coalesce(one.isNotNull() & other.isNotNull() & near, F.lit(False))


def _is_inexact(kind: DataType) -> bool:
    return isinstance(kind, FloatType | DoubleType)


def _text(value: Column, kind: DataType) -> Column:
    if isinstance(kind, BinaryType):
        return F.hex(value)
    return F.to_json(value) if isinstance(kind, _NESTED) else value.cast("string")
