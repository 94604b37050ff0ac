"""Declared schemas: from DDL, and held against what a query gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql.types import StructType

from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def parse_ddl(ddl: str) -> StructType:
    """The schema that a DDL text declares, such as `id bigint not null, name string`."""
    schema = StructType.fromDDL(ddl)
    if not isinstance(schema, StructType):
        raise UsageError(f"not the columns of a table: {ddl}")
    return schema


def conform(rows: DataFrame, declared: StructType) -> DataFrame:
    """The declared columns, in their order; types must be the declared ones.

    Nullability is the table's to enforce: a null in a NOT NULL column fails the write.

    Raises:
        UsageError: columns that the rows do not have, or have with another type.
    """
    has = {field.name: field.dataType.simpleString() for field in rows.schema}
    wants = {field.name: field.dataType.simpleString() for field in declared}
    wrong = [
        f"{name}: declared {kind}, but {'it is ' + has[name] if name in has else 'there is none'}"
        for name, kind in wants.items()
        if has.get(name) != kind
    ]
    if wrong:
        raise UsageError(
            "the columns are not the declared ones:\n  "
            + "\n  ".join(wrong)
            + f"\n  there are: {', '.join(f'{name} {kind}' for name, kind in has.items())}",
            untouched="nothing was written",
            next_step="mend `columns`, `lookups` or `schema` of the table in the config",
        )
    return rows.select(*[col(name) for name in wants])
