"""Declared schemas: parsed from DDL, and compared with the columns of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql.types import StructType

from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def parse_ddl(ddl: str) -> StructType:
    """The schema of a DDL text, such as `id bigint not null, name string`."""
    schema = StructType.fromDDL(ddl)
    if not isinstance(schema, StructType):
        raise UsageError(f"not a list of columns: {ddl}", code="invalid_ddl")
    return schema


def conform(rows: DataFrame, declared: StructType) -> DataFrame:
    """The declared columns of the rows, in the declared order.

    Does not check nullability: a null in a NOT NULL column fails the write.

    Raises:
        UsageError: the rows lack declared columns, or have them with another type.
    """
    has = {field.name: field.dataType.simpleString() for field in rows.schema}
    wants = {field.name: field.dataType.simpleString() for field in declared}
    wrong = [
        f"{name}: declared as {kind}, but {'it is ' + has[name] if name in has else 'missing'}"
        for name, kind in wants.items()
        if has.get(name) != kind
    ]
    if wrong:
        raise UsageError(
            "the columns are not the declared ones:\n  "
            + "\n  ".join(wrong)
            + f"\n  the rows have: {', '.join(f'{name} {kind}' for name, kind in has.items())}",
            code="columns_differ",
            untouched="nothing was written",
            next_step="fix `columns`, `lookups` or `schema` of the table in the config",
        )
    return rows.select(*[col(name) for name in wants])
