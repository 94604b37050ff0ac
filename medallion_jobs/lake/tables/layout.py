"""How a table lies on disk and what Delta is told of it, brought in line with the config.

Partitions and clustering are there from a table's first commit. All else may change at any
start: what differs is altered, what the config no longer says is taken away, if it was set
from a config. The table itself remembers that, in a property of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medallion_jobs.config import Layout, TableRef
from medallion_jobs.errors import UsageError
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
    """What a table of these columns cannot have of a layout: the layout's key, and why.

    Whether a CHECK can be computed is for Spark to say.
    """
    kinds = {field.name: field.dataType.typeName() for field in schema}
    found = []
    for key in ("partition_by", "cluster_by", "comments"):
        missing = [name for name in getattr(layout, key) or () if name not in kinds]
        if missing:
            there = ", ".join(kinds)
            found.append((key, f"the table has no column {', '.join(missing)}; it has {there}"))
    for name in layout.partition_by or ():
        if kinds.get(name) in (*_NESTED, "binary"):
            found.append(("partition_by", f"{name} is {kinds[name]}: no folder can be named by it"))
        elif name.startswith("_"):
            why = "readers of files pass over folders whose name begins so"
            found.append(("partition_by", f"{name} begins with _: {why}"))
    if layout.partition_by and set(layout.partition_by) >= set(kinds):
        found.append(("partition_by", "one column at least must be in the files themselves"))
    indexed = set(_indexed(schema, layout))
    for name in layout.cluster_by or ():
        if kinds.get(name) in _WITHOUT_RANGE:
            why = "has no smallest and largest value to tell files by"
            found.append(("cluster_by", f"{name} is {kinds[name]}, which {why}"))
        elif name in kinds and name not in indexed:
            found.append(
                (
                    "cluster_by",
                    f"{name} stands too far behind: Delta keeps statistics of the first "
                    f"{_indexed_count(layout)} columns, fields of structs counted; select it "
                    f"earlier, or give the property {_INDEXED}",
                )
            )
    return found


def refuse_impossible(path: Location, schema: StructType, layout: Layout) -> None:
    """Raises UsageError where no table can have these columns, or not with the layout."""
    refuse_names(f"{path.parent.name}.{path.name}", schema)
    if wrong := problems(schema, layout):
        raise UsageError(
            f"{path.parent.name}.{path.name} cannot lie as its layout says: "
            + "; ".join(f"{key}: {why}" for key, why in wrong),
            untouched="nothing was written",
            next_step="mend `layout` of the table in the config",
        )


def refuse_names(name: str, schema: StructType) -> None:
    """Raises UsageError where a column, or a field inside one, has a name that Delta refuses.

    Args:
        name: how messages call the table.
    """
    if wrong := list(dict.fromkeys(unnamable(schema.jsonValue()))):
        named = ", ".join(map(column, wrong))
        raise UsageError(
            f"{name} can have no column, and no field in one, named {named}: "
            "Delta takes no name with a space, a line break, a tab or one of , ; { } ( ) =",
            untouched="nothing was written",
            next_step="name it otherwise in the config, such as by `columns` or `rename`",
        )


def _indexed(schema: StructType, layout: Layout) -> Iterator[str]:
    """The columns of which Delta keeps the lowest and highest value."""
    named = layout.properties.get(_INDEXED_BY_NAME)
    if named is not None:
        yield from (unquoted(one.strip()) for one in named.split(","))
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
        return sum(_leaves(one["type"]) for one in kind["fields"])
    return 1


def commented(schema: StructType, layout: Layout) -> StructType:
    """The columns with what they are, as a table that is made has them from its first commit."""
    made = type(schema)()
    for field in schema:
        metadata = {key: value for key, value in field.metadata.items() if key != "comment"}
        if said := layout.comments.get(field.name):
            metadata["comment"] = said
        made = made.add(field.name, field.dataType, field.nullable, metadata)
    return made


def anew(rows: DataFrame, path: Location, layout: Layout) -> DataFrameWriter:
    """A writer of rows that replace all of a table, under their own columns and its layout.

    Rows that break a check fail the write. With the columns Delta forgets the clustering, which
    is for `ensure_layout` to give anew.
    """
    spark, state = rows.sparkSession, State.of(path)
    _, stale = constraints.difference(layout.checks, state.recorded.checks, state.properties)
    for name in stale:
        spark.sql(constraints.dropped(path, name))
    there = spark.read.format("delta").load(str(path)).schema
    wanted = commented(rows.schema, layout)
    kept = constraints.enforced(rows, layout.checks)
    named = [kept[column(f.name)].alias(f.name, metadata=f.metadata) for f in wanted]
    rows, by = kept.select(*named), layout.partition_by or ()
    if (_types(there), state.partitions) == (_types(wanted), by):
        return replacing(rows, path)
    return rows.write.option("overwriteSchema", True).partitionBy(*by)


def replacing(rows: DataFrame, path: Location) -> DataFrameWriter:
    """A writer of rows that replace all of a table, which stays clustered as it is."""
    if not State.of(path).has_clustering:
        return rows.write
    # A plain overwrite makes it a table without clustering.
    return rows.write.option("replaceWhere", "true")


def _types(schema: StructType) -> list[tuple[str, str]]:
    return [(field.name, field.dataType.simpleString()) for field in schema]


def properties(layout: Layout) -> dict[str, str]:
    """The properties with which a table of this layout is made, its checks among them."""
    recorded = Recorded.of(layout)
    if recorded == Recorded():
        return {}
    return {**layout.properties, **constraints.properties(layout.checks), RECORD: str(recorded)}


def ensure_layout(spark: SparkSession, ref: TableRef, path: Location, layout: Layout) -> None:
    """Brings a table that is there in line with its layout; without a commit where it is.

    Raises:
        UsageError: it is partitioned otherwise, or lacks a column that the layout names.
        DataError: rows that are there break a check; nothing was changed.
    """
    state = State.of(path)
    if state.partitions != (layout.partition_by or ()):
        raise _other_partitions(ref, state, layout)
    if Recorded.of(layout) == state.recorded == Recorded():
        return
    schema = spark.read.format("delta").load(str(path)).schema
    refuse_impossible(path, schema, layout)
    new, stale = constraints.difference(layout.checks, state.recorded.checks, state.properties)
    constraints.refuse_broken(spark, ref, path, new)
    # Taken away first, added last: cut off in between, the record never lacks what was set.
    for name in stale:
        spark.sql(constraints.dropped(path, name))
    for statement in _statements(path, layout, state, state.clustering(spark)):
        spark.sql(statement)
    for name, sql in new.items():
        spark.sql(constraints.added(path, name, sql))


def _statements(
    path: Location, layout: Layout, state: State, clustering: Sequence[str]
) -> Iterator[str]:
    """What changes the table's metadata, each one commit."""
    has, before = state.properties, state.recorded
    # Delta writes its own properties in its own letter cases.
    taken_back = {key.lower() for key in before.properties}
    taken_back -= {key.lower() for key in layout.properties}
    gone = [key for key in has if key.lower() in taken_back]
    if before.comment and layout.comment is None:
        gone.append("comment")
    if gone:
        yield f"ALTER TABLE {table(path)} UNSET TBLPROPERTIES ({', '.join(map(text, gone))})"
    wanted = {**layout.properties, RECORD: str(Recorded.of(layout))}
    told = {key.lower(): value for key, value in has.items()}
    wrong = {key: value for key, value in wanted.items() if told.get(key.lower()) != value}
    if layout.comment is not None and layout.comment != state.description:
        wrong["comment"] = layout.comment
    if wrong:
        pairs = ", ".join(f"{text(key)} = {text(value)}" for key, value in wrong.items())
        yield f"ALTER TABLE {table(path)} SET TBLPROPERTIES ({pairs})"
    said = state.comments
    ours = {name: "" for name in before.comments if said.get(name)} | layout.comments
    changed = {name: words for name, words in ours.items() if (said.get(name) or "") != words}
    if changed:
        columns = ", ".join(f"{column(n)} COMMENT {text(words)}" for n, words in changed.items())
        yield f"ALTER TABLE {table(path)} ALTER COLUMN {columns}"
    by = layout.cluster_by or ()
    if tuple(clustering) != by and (by or before.clustered):
        columns = f"({', '.join(map(column, by))})" if by else "NONE"
        yield f"ALTER TABLE {table(path)} CLUSTER BY {columns}"


def _other_partitions(ref: TableRef, state: State, layout: Layout) -> UsageError:
    is_, wanted = (
        f"partitioned by {', '.join(by)}" if by else "not partitioned"
        for by in (state.partitions, layout.partition_by or ())
    )
    anew = (
        "put `partition_by` back: rows of bronze are never written again; or begin a table of "
        "another name"
        if ref.layer == "bronze"
        else f'make it anew: `medallion checkpoint reset {ref} --reason "…" --yes`'
    )
    return UsageError(
        f"{ref} is {is_}; by its config it is to be {wanted}",
        untouched="nothing was written",
        next_step=anew,
    )
