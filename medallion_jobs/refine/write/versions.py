"""What the changes of a key come to: its current row, or all its versions.

The result depends only on the set of changes, not on the order or the batches in which they
arrive. Changes are ordered by their sequence. At one sequence a delete comes before an upsert, so
a delete removes only what is older; of different upserts the one with the greater values, compared
column by column, comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType

from medallion_jobs.config import ApplyChanges
from medallion_jobs.lake.tables.sql import col, quoted
from medallion_jobs.lake.values.canonical import canonical

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# A column, or a field inside one, as a path of names.
Part = tuple[str, ...]
# The columns of a change besides its key.
SEQUENCE, CHANGE, VALUES, GIVEN = "__sequence", "__change", "__values", "__given"
MOVED_FROM = "__moved_from"
UPSERT, DELETE, TRUNCATE = "upsert", "delete", "truncate"
# The columns of a version besides its key and `VALUES`.
STARTS, ENDS = "__starts", "__ends"
# Hidden columns: the order of a change in its history; how many deletes are before it; whether it
# starts a version, and the number of that version; the values that are compared.
_PLACE, _LIFE, _IS_START, _VERSION, _TRACKED = "place", "life", "is start", "version", "tracked"
_DELETED = "deleted at"


def current(changes: DataFrame, keys: Sequence[str], parts: Sequence[Part]) -> DataFrame:
    """The current row of each key, which is its newest change after its newest delete.

    Args:
        changes: all changes of these keys, upserts and deletes.
        parts: the parts of a row of which a change may give only some: columns, or fields inside
            them. Each then has the value of the newest change that gives it, and `GIVEN` says which
            are known. Empty if each change gives all.
    """
    by_key = [col(k) for k in keys]
    window = Window.partitionBy(*by_key)
    deleted = F.max(F.when(col(CHANGE) == DELETE, col(SEQUENCE))).over(window)
    is_live = col(_DELETED).isNull() | (col(SEQUENCE) >= col(_DELETED))
    live = changes.withColumn(_DELETED, deleted).where((col(CHANGE) == UPSERT) & is_live)
    kind = _values_type(changes)
    live = live.withColumn(_PLACE, _place(kind))
    if not parts:
        newest = F.max_by(col(VALUES), col(_PLACE)).alias(VALUES)
        return live.groupBy(*by_key).agg(newest)
    latest = {
        name: F.max_by(_wrapped(path), F.when(gives(path), col(_PLACE)))
        for name, path in by_name(parts).items()
    }
    found = live.groupBy(*by_key).agg(
        F.count(F.lit(1)).alias("rows"), *(value.alias(name) for name, value in latest.items())
    )
    given = F.array_compact(
        F.array(
            *(
                F.when(col(name).isNotNull(), F.lit(name_of(path)))
                for name, path in by_name(parts).items()
            )
        )
    )
    known = found.withColumn(GIVEN, F.when(F.size(given) < len(parts), given))
    known = known.withColumns({name: col(name).getField("value") for name in latest})
    return known.select(*by_key, _joined(kind, parts).alias(VALUES), col(GIVEN))


def history(
    changes: DataFrame, keys: Sequence[str], parts: Sequence[Part], tracked: Sequence[str]
) -> DataFrame:
    """All versions of each key, with the sequences at which they start and end.

    Changes that follow each other with equal values in the tracked columns are one version, with
    the other columns of the last of them. A version ends where the next one starts, or at a delete.

    Args:
        changes, parts: as in `current`.
        tracked: the columns whose changes make a new version.
    """
    by_key = [col(k) for k in keys]
    in_key = Window.partitionBy(*by_key).orderBy(col(_PLACE))
    so_far = in_key.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    kind = _values_type(changes)
    is_upsert = col(CHANGE) == UPSERT
    rows = changes.withColumn(_PLACE, _place(kind))
    rows = rows.withColumn(_LIFE, F.count_if(~is_upsert).over(so_far))
    if parts:
        in_life = Window.partitionBy(*by_key, col(_LIFE)).orderBy(col(_PLACE))
        in_life = in_life.rowsBetween(Window.unboundedPreceding, Window.currentRow)
        filled = {
            name: F.last(F.when(is_upsert & gives(path), _wrapped(path)), ignorenulls=True)
            .over(in_life)
            .getField("value")
            for name, path in by_name(parts).items()
        }
        rows = rows.withColumns(filled)
        rows = rows.withColumn(VALUES, F.when(is_upsert, _joined(kind, parts))).drop(*filled)
    # Only the last change of a sequence counts: the others were true at no time.
    last = F.coalesce(F.lead(col(SEQUENCE)).over(in_key) != col(SEQUENCE), F.lit(True))
    rows = rows.withColumn("is last", last).where(col("is last"))
    compared = F.struct(
        F.lit(1), *(canonical(col(VALUES)[name], kind[name].dataType) for name in tracked)
    )
    rows = rows.withColumn(_TRACKED, F.when(is_upsert, compared))
    same = (F.lag(col(_LIFE)).over(in_key) == col(_LIFE)) & F.lag(col(_TRACKED)).over(
        in_key
    ).eqNullSafe(col(_TRACKED))
    rows = rows.withColumn(_IS_START, ~is_upsert | ~F.coalesce(same, F.lit(False)))
    rows = rows.withColumn(_VERSION, F.count_if(col(_IS_START)).over(so_far))
    versions = rows.groupBy(*by_key, col(_VERSION)).agg(
        F.min(col(SEQUENCE)).alias(STARTS),
        F.max_by(col(VALUES), col(_PLACE)).alias(VALUES),
        F.max(col(CHANGE)).alias(CHANGE),
    )
    in_order = Window.partitionBy(*by_key).orderBy(col(_VERSION))
    versions = versions.withColumn(ENDS, F.lead(col(STARTS)).over(in_order))
    return versions.where(col(CHANGE) == UPSERT).select(
        *by_key, col(VALUES), col(STARTS), col(ENDS)
    )


def _values_type(changes: DataFrame) -> StructType:
    kind = changes.schema[VALUES].dataType
    assert isinstance(kind, StructType)
    return kind


def _place(kind: StructType) -> Column:
    """The order of a change within its key."""
    given = F.array_join(F.array_sort(col(GIVEN)), ",")
    return F.struct(
        col(SEQUENCE), col(CHANGE) == UPSERT, canonical(col(VALUES), kind), given.alias("given")
    )


def needed(
    changes: DataFrame,
    keys: Sequence[str],
    parts: Sequence[Part],
    *,
    with_history: bool,
    is_remembered: Column,
) -> DataFrame:
    """The changes without those on which no result depends, whatever arrives later.

    A delete without effect on the other changes is needed as long as it is remembered.

    Args:
        changes: all changes of all keys, with truncates as deletes of each key.
        with_history: whether `history` is computed from them, not `current`.
        is_remembered: whether a delete may still meet an older change that arrives later.
    """
    by_key = [col(k) for k in keys]
    in_key = Window.partitionBy(*by_key)
    in_order = in_key.orderBy(col(_PLACE))
    kind = _values_type(changes)
    is_upsert = col(CHANGE) == UPSERT
    rows = changes.withColumn(_PLACE, _place(kind))
    # The same change may have arrived twice.
    again = F.coalesce(F.lag(col(_PLACE)).over(in_order) == col(_PLACE), F.lit(False))
    rows = rows.withColumn("is again", again).where(~col("is again"))
    if with_history:
        oldest = F.min(F.when(is_upsert, col(SEQUENCE))).over(in_key)
        ends = F.coalesce(oldest < col(SEQUENCE), F.lit(False))
        return rows.withColumn("ends", ends).where(is_upsert | col("ends") | is_remembered)
    deleted = F.max(F.when(~is_upsert, col(SEQUENCE))).over(in_key)
    rows = rows.withColumn(_DELETED, deleted)
    is_live = is_upsert & (col(_DELETED).isNull() | (col(SEQUENCE) >= col(_DELETED)))
    newest = [
        F.max(F.when(is_live & gives, col(_PLACE))).over(in_key)
        for gives in (F.lit(True), *map(gives, parts))
    ]
    counts = reduce(or_, (col(_PLACE) == place for place in newest))
    rows = rows.withColumn("counts", F.coalesce(is_live & counts, F.lit(False)))
    is_newest = ~is_upsert & (col(SEQUENCE) == col(_DELETED))
    return rows.where(col("counts") | (is_newest & is_remembered))


def parts_of(kind: StructType, settings: ApplyChanges) -> list[Part]:
    """The parts of a row that a change may lack."""
    # A null is ignored field by field; what a database does not send, it does by columns.
    return _leaves(kind) if settings.ignore_null_updates else [(name,) for name in kind.names]


def _leaves(kind: StructType, path: Part = ()) -> list[Part]:
    """All fields of a row that are no structs, as paths of names."""
    found: list[Part] = []
    for field in kind:
        inner = (*path, field.name)
        if isinstance(field.dataType, StructType) and field.dataType.fields:
            found += _leaves(field.dataType, inner)
        else:
            found.append(inner)
    return found


def name_of(path: Part) -> str:
    """The name of a part in `GIVEN`."""
    return ".".join(quoted(name) for name in path)


def by_name(parts: Sequence[Part]) -> dict[str, Part]:
    """The parts, by a hidden column for each."""
    return {f"value of {name_of(path)}": path for path in parts}


def _wrapped(path: Part) -> Column:
    """The value of a part, in a struct: a value that is null is still a value."""
    value = col(VALUES)
    for name in path:
        value = value.getField(name)
    return F.struct(value.alias("value"))


def _joined(kind: DataType, parts: Sequence[Part], path: Part = ()) -> Column:
    """The values, from the hidden columns of their parts. A struct of nulls is null."""
    if path in parts or not isinstance(kind, StructType):
        return col(f"value of {name_of(path)}")
    inner = [
        _joined(field.dataType, parts, (*path, field.name)).alias(field.name) for field in kind
    ]
    joined = F.struct(*inner)
    return joined if not path else F.when(F.coalesce(*map(_is_there, inner)), joined)


def _is_there(value: Column) -> Column:
    return F.when(value.isNotNull(), F.lit(True))


def gives(path: Part) -> Column:
    """Whether a change has a value for a part; null for `GIVEN` means all."""
    return col(GIVEN).isNull() | F.array_contains(col(GIVEN), F.lit(name_of(path)))
