"""The types of bronze columns for those of parquet files."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyarrow.parquet import ParquetFile

from medallion_jobs.project.kinds import is_namable, quoted

_INT_BITS, _LONG_BITS, _DECIMAL_DIGITS = 32, 64, 38


def columns(file: ParquetFile) -> Iterator[tuple[str, str]]:
    """Each column and its type as DDL; an empty type if the column is rescued or not there yet."""
    leaves = [file.schema.column(number) for number in range(len(file.schema))]
    # Arrow does not show it: a time in this old form is a moment in UTC.
    moments = {leaf.path for leaf in leaves if leaf.physical_type == "INT96"}
    for field in file.schema_arrow:
        yield field.name, "timestamp" if field.name in moments else _ddl(field.type) or ""


def _ddl(kind: pa.DataType) -> str | None:
    types = pa.types
    if types.is_dictionary(kind):
        return _ddl(kind.value_type)
    if types.is_struct(kind):
        inner = [(f.name, _ddl(f.type)) for f in kind if is_namable(f.name)]
        known = [f"{quoted(name)}: {ddl}" for name, ddl in inner if ddl]
        return f"struct<{', '.join(known)}>" if known else None
    if types.is_map(kind):
        key, value = _ddl(kind.key_type), _ddl(kind.item_type)
        return f"map<{key}, {value}>" if key and value else None
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        element = _ddl(kind.value_type)
        return f"array<{element}>" if element else None
    return _scalar(kind)


def _scalar(kind: pa.DataType) -> str | None:
    types = pa.types
    if types.is_integer(kind):
        bits = kind.bit_width * (2 if types.is_unsigned_integer(kind) else 1)
        return "int" if bits <= _INT_BITS else "bigint" if bits <= _LONG_BITS else "decimal(20,0)"
    if types.is_decimal(kind):
        return (
            f"decimal({kind.precision},{kind.scale})" if kind.precision <= _DECIMAL_DIGITS else None
        )
    if types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    named = {
        "bool": "boolean",
        "halffloat": "float",
        "float": "float",
        "double": "double",
        "string": "string",
        "large_string": "string",
        "string_view": "string",
        "binary": "binary",
        "large_binary": "binary",
        "date32[day]": "date",
    }
    return named.get(str(kind))
