"""Brings a table's layout in line with the config: partitions, clustering, properties, checks.

Partitions and clustering are set in a table's first commit. Everything else may change at any
start: differences are altered, and what the config no longer has is removed, if an earlier config
set it. The table records that in its own property.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medallion_jobs.config import Layout, TableRef
from medallion_jobs.errors import UsageError, rebuild_command
from medallion_jobs.lake.tables import constraints
from medallion_jobs.lake.tables.layout_state import RECORD, Recorded, State
from medallion_jobs.lake.tables.sql import column, table, text, unnamable, unquoted
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
    from pyspark.sql.types import StructType

# How deep into a table's columns Delta keeps the statistics that clustering needs.
_INDEXED = "delta.dataSkippingNumIndexedCols"
_INDEXED_BY_NAME = "delta.dataSkippingStatsColumns"
_INDEXED_BY_DEFAULT = 32
_NESTED = ("struct", "array", "map", "variant")
_WITHOUT_RANGE = (*_NESTED, "binary", "boolean")


def problems(schema: StructType, layout: Layout) -> list[tuple[str, str]]:
    """The keys of a layout that do not work for these columns, each with the reason.

    Does not check CHECK constraints: only Spark can.
    """
    kinds = {field.name: field.dataType.typeName() for field in schema}
    found = []
    for key in ("partition_by", "cluster_by", "comments"):
        missing = [name for name in getattr(layout, key) or () if name not in kinds]
        if missing:
            columns = ", ".join(kinds)
            found.append((key, f"the table has no column {', '.join(missing)}; it has {columns}"))
    for name in layout.partition_by or ():
        if kinds.get(name) in (*_NESTED, "binary"):
            found.append(
                ("partition_by", f"{name} is {kinds[name]}: folders cannot be named by it")
            )
        elif name.startswith("_"):
            why = "file readers ignore folders whose name starts with _"
            found.append(("partition_by", f"{name} starts with _: {why}"))
    if layout.partition_by and set(layout.partition_by) >= set(kinds):
        found.append(("partition_by", "at least one column must not be a partition column"))
    indexed = set(_indexed(schema, layout))
    for name in layout.cluster_by or ():
        if kinds.get(name) in _WITHOUT_RANGE:
            why = "has no smallest and largest value for data skipping"
            found.append(("cluster_by", f"{name} is {kinds[name]}, which {why}"))
        elif name in kinds and name not in indexed:
            found.append(
                (
                    "cluster_by",
                    f"{name} has no statistics: Delta keeps them for the first "
                    f"{_indexed_count(layout)} columns, counting fields of structs; select it "
                    f"earlier, or set the property {_INDEXED}",
                )
            )
    return found


def refuse_impossible(path: Location, schema: StructType, layout: Layout) -> None:
    """Raises UsageError if no table can have these columns, or not with this layout."""
    refuse_names(f"{path.parent.name}.{path.name}", schema)
    if wrong := problems(schema, layout):
        raise UsageError(
            f"{path.parent.name}.{path.name} cannot have its layout: "
            + "; ".join(f"{key}: {why}" for key, why in wrong),
            code="layout_not_possible",
            untouched="nothing was written",
            next_step="fix `layout` of the table in the config",
        )


def refuse_names(name: str, schema: StructType) -> None:
    """Raises UsageError if a column, or a field inside one, has a name that Delta refuses.

    Args:
        name: the table's name in messages.
    """
    if wrong := list(dict.fromkeys(unnamable(schema.jsonValue()))):
        named = ", ".join(map(column, wrong))
        raise UsageError(
            f"{name} cannot have a column, or a field in a column, named {named}: "
            "Delta allows no space, line break, tab or any of , ; { } ( ) = in a name",
            code="invalid_column_name",
            untouched="nothing was written",
            next_step="rename it in the config, such as with `columns` or `rename`",
        )


def _indexed(schema: StructType, layout: Layout) -> Iterator[str]:
    """The columns for which Delta keeps the smallest and the largest value of each file."""
    named = layout.properties.get(_INDEXED_BY_NAME)
    if named is not None:
        yield from (unquoted(name.strip()) for name in named.split(","))
        return
    most, place = _indexed_count(layout), 0
    for field in schema:
        if most < 0 or place < most:
            yield field.name
        place += _leaves(field.dataType.jsonValue())


def _indexed_count(layout: Layout) -> int:
    return int(layout.properties.get(_INDEXED, _INDEXED_BY_DEFAULT))


def _leaves(kind: Any) -> int:
    if isinstance(kind, Mapping) and kind["type"] == "struct":
        return sum(_leaves(field["type"]) for field in kind["fields"])
    return 1


def commented(schema: StructType, layout: Layout) -> StructType:
    """The schema with the column comments of the layout."""
    result = type(schema)()
    for field in schema:
        metadata = {key: value for key, value in field.metadata.items() if key != "comment"}
        if comment := layout.comments.get(field.name):
            metadata["comment"] = comment
        result = result.add(field.name, field.dataType, field.nullable, metadata)
    return result


def overwrite_with_schema(rows: DataFrame, path: Location, layout: Layout) -> DataFrameWriter:
    """A writer that replaces all rows, the columns and the partitions of a table.

    Rows that break a check of the layout fail the write. If columns change, Delta drops the
    clustering; `ensure_layout` must then set it again.
    """
    spark, state = rows.sparkSession, State.of(path)
    _, stale = constraints.difference(layout.checks, state.recorded.checks, state.properties)
    for name in stale:
        spark.sql(constraints.dropped(path, name))
    existing = spark.read.format("delta").load(str(path)).schema
    wanted = commented(rows.schema, layout)
    kept = constraints.enforced(rows, layout.checks)
    named = [kept[column(f.name)].alias(f.name, metadata=f.metadata) for f in wanted]
    rows, by = kept.select(*named), layout.partition_by or ()
    if (_types(existing), state.partitions) == (_types(wanted), by):
        return overwrite(rows, path)
    return rows.write.option("overwriteSchema", True).partitionBy(*by)


def overwrite(rows: DataFrame, path: Location) -> DataFrameWriter:
    """A writer that replaces all rows of a table and keeps its columns and clustering."""
    if not State.of(path).has_clustering:
        return rows.write
    # A plain overwrite would remove the clustering.
    return rows.write.option("replaceWhere", "true")


def _types(schema: StructType) -> list[tuple[str, str]]:
    return [(field.name, field.dataType.simpleString()) for field in schema]


def properties(layout: Layout) -> dict[str, str]:
    """The properties of a new table with this layout, including its checks."""
    recorded = Recorded.of(layout)
    if recorded == Recorded():
        return {}
    return {**layout.properties, **constraints.properties(layout.checks), RECORD: str(recorded)}


def ensure_layout(spark: SparkSession, ref: TableRef, path: Location, layout: Layout) -> None:
    """Brings an existing table in line with its layout; commits nothing if it already is.

    Raises:
        UsageError: it has other partition columns, or lacks a column that the layout names.
        DataError: existing rows break a check; nothing was changed.
    """
    state = State.of(path)
    refuse_other_partitions(ref, path, layout)
    if Recorded.of(layout) == state.recorded == Recorded():
        return
    schema = spark.read.format("delta").load(str(path)).schema
    refuse_impossible(path, schema, layout)
    new, stale = constraints.difference(layout.checks, state.recorded.checks, state.properties)
    constraints.refuse_broken(spark, ref, path, new)
    # Drops first, adds last: if interrupted, the record never misses something that was set.
    for name in stale:
        spark.sql(constraints.dropped(path, name))
    for statement in _statements(path, layout, state, state.clustering(spark)):
        spark.sql(statement)
    for name, sql in new.items():
        spark.sql(constraints.added(path, name, sql))


def _statements(
    path: Location, layout: Layout, state: State, clustering: Sequence[str]
) -> Iterator[str]:
    """The statements that change the table's metadata; each is a commit."""
    has, before = state.properties, state.recorded
    # Delta changes the letter case of its own properties.
    undeclared = {key.lower() for key in before.properties}
    undeclared -= {key.lower() for key in layout.properties}
    removed = [key for key in has if key.lower() in undeclared]
    if before.comment and layout.comment is None:
        removed.append("comment")
    if removed:
        yield f"ALTER TABLE {table(path)} UNSET TBLPROPERTIES ({', '.join(map(text, removed))})"
    wanted = {**layout.properties, RECORD: str(Recorded.of(layout))}
    lower = {key.lower(): value for key, value in has.items()}
    wrong = {key: value for key, value in wanted.items() if lower.get(key.lower()) != value}
    if layout.comment is not None and layout.comment != state.description:
        wrong["comment"] = layout.comment
    if wrong:
        pairs = ", ".join(f"{text(key)} = {text(value)}" for key, value in wrong.items())
        yield f"ALTER TABLE {table(path)} SET TBLPROPERTIES ({pairs})"
    existing = state.comments
    ours = {name: "" for name in before.comments if existing.get(name)} | layout.comments
    changed = {name: new for name, new in ours.items() if (existing.get(name) or "") != new}
    if changed:
        columns = ", ".join(f"{column(n)} COMMENT {text(new)}" for n, new in changed.items())
        yield f"ALTER TABLE {table(path)} ALTER COLUMN {columns}"
    by = layout.cluster_by or ()
    if tuple(clustering) != by and (by or before.clustered):
        columns = f"({', '.join(map(column, by))})" if by else "NONE"
        yield f"ALTER TABLE {table(path)} CLUSTER BY {columns}"


def refuse_other_partitions(ref: TableRef, path: Location, layout: Layout) -> None:
    """Raises UsageError if a table is not partitioned as its config says. Needs no JVM."""
    partitions = State.of(path).partitions
    if partitions == (layout.partition_by or ()):
        return
    is_, wanted = (
        f"partitioned by {', '.join(by)}" if by else "not partitioned"
        for by in (partitions, layout.partition_by or ())
    )
    next_step = (
        "restore `partition_by`, since rows of bronze are never written again; or use a table "
        "with another name"
        if ref.layer == "bronze"
        else f"rebuild it: `{rebuild_command(ref)} --yes`"
    )
    raise UsageError(
        f"{ref} is {is_}; by its config it must be {wanted}",
        code="layout_differs",
        untouched="nothing was written",
        next_step=next_step,
    )
