"""Columns that a changed table gets after its envelope was declared.

A message that has such a column says so itself: it is found in each batch before the batch is
written. The names and types are stored as a property of the silver table, so that every later run
reads the column from all messages.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.config import SilverTable
from medallion_jobs.lake import tables
from medallion_jobs.lake.columns import OF_CHANGE, RESERVED
from medallion_jobs.lake.tables import schema as schemas
from medallion_jobs.lake.tables.sql import column, namable, type_text
from medallion_jobs.refine.transform import shape
from medallion_jobs.refine.transform.envelope import Opening
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PROPERTY = "medallion.newColumns"
# By Kafka Connect's type, or by the last part of a semantic type's name: the type of a column.
_TYPES = {
    "boolean": "boolean",
    **{"int8": "int", "int16": "int", "int32": "int", "int64": "bigint"},
    **{"float": "float", "float32": "float", "double": "double", "float64": "double"},
    **{"bytes": "binary", "Date": "date", "ZonedTimestamp": "timestamp"},
    **dict.fromkeys(("Timestamp", "MicroTimestamp", "NanoTimestamp"), "timestamp_ntz"),
}


@dataclass(frozen=True)
class Found:
    """What the messages of a batch say about the columns of the changed table.

    Attributes:
        new: columns that are not declared, with their types.
        gone: declared columns that some message lacks.
    """

    new: StructType
    gone: Sequence[str]


def are_wanted(table: SilverTable) -> bool:
    """Whether the table gets such columns: it must not name its columns one by one."""
    changes = table.apply_changes
    named = table.select or table.schema_ or (changes and changes.column_list)
    return table.envelope is not None and table.envelope.new_columns == "add" and not named


def extended(table: SilverTable, path: Location) -> SilverTable:
    """The table with the stored columns in its envelope."""
    stored = tables.snapshot(path)
    ddl = stored.properties.get(PROPERTY) if stored else None
    if not ddl or table.envelope is None or not are_wanted(table):
        return table
    declared = {name.lower() for name in schemas.parse_ddl(table.envelope.schema_).names}
    new = [field for field in schemas.parse_ddl(ddl) if field.name.lower() not in declared]
    if not new:
        return table
    schema = ", ".join([table.envelope.schema_, _ddl(StructType(new))])
    return table.model_copy(
        update={"envelope": table.envelope.model_copy(update={"schema_": schema})}
    )


def found(source: DataFrame, table: SilverTable) -> Found:
    """Looks through the messages of a batch."""
    opening = shape.opening_of(table)
    assert table.envelope is not None
    rows = source.where(shape.taken(source, table))
    sets = rows.agg(F.collect_set(opening.keys_of_row(rows)).alias("keys")).first()
    assert sets is not None  # an aggregate without groups has one row
    declared = opening.columns.names
    named = [*declared, *([] if opening.is_debezium else [table.envelope.op])]
    beside = {name.lower() for name in named}
    new = sorted({key for keys in sets["keys"] for key in keys if _can_be_new(key, beside)})
    gone = [name for name in declared if any(name not in keys for keys in sets["keys"])]
    return Found(_typed(rows, opening, new) if new else StructType(), gone)


def _can_be_new(key: str, known: Collection[str]) -> bool:
    return key.lower() not in known and namable(key) and key.lower() not in (*RESERVED, *OF_CHANGE)


def _typed(rows: DataFrame, opening: Opening, names: Sequence[str]) -> StructType:
    """The columns with their types by the schemas of the messages.

    Of several types the last by name is taken: `string`, which holds all values, if it is one.
    """
    said = opening.meanings(rows)
    kinds = rows.agg(
        *(F.max(F.try_element_at(said, F.lit(name))).alias(name) for name in names)
    ).first()
    assert kinds is not None  # an aggregate without groups has one row
    ddl = ", ".join(f"{column(name)} {_type(*(kinds[name] or (None,) * 4))}" for name in names)
    return schemas.parse_ddl(ddl)


def store(spark: SparkSession, new: StructType, path: Location) -> None:
    """Adds columns to those that are stored."""
    stored = tables.snapshot(path)
    before = (stored.properties.get(PROPERTY) if stored else None) or ""
    ddl = ", ".join(filter(None, [before, _ddl(new)]))
    tables.set_properties(spark, path, {PROPERTY: ddl})


def _ddl(columns: StructType) -> str:
    return ", ".join(
        f"{column(field.name)} {type_text(field.dataType.jsonValue())}" for field in columns
    )


def _type(kind: str | None, meaning: str | None, scale: int | None, is_array: bool | None) -> str:
    """The type of a column, by the schema of its message; text without one."""
    if is_array:
        return f"array<{_type(kind, meaning, scale, None)}>"
    name = (meaning or "").rpartition(".")[2]
    if name == "Decimal":
        return f"decimal(38,{scale or 0})"
    if name in ("Json", "Enum", "Xml", "Uuid", "VariableScaleDecimal"):
        return "string"
    return _TYPES.get(name) or _TYPES.get(kind or "", "string")
