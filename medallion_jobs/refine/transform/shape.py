"""The first stage of the transforms: which rows there are, and which columns they have.

where -> envelope -> parse -> explode -> flatten -> rename -> transform
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    StringType,
    StructType,
)

from medallion_jobs.config import Parse, SilverTable
from medallion_jobs.lake.hidden_columns import UNDECIDED
from medallion_jobs.lake.tables import schema as schemas
from medallion_jobs.lake.tables.sql import col, namable
from medallion_jobs.lake.values import strict
from medallion_jobs.lake.values.type_walk import is_nested
from medallion_jobs.refine.transform import casts, functions, rescued
from medallion_jobs.refine.transform.envelope import Opening
from medallion_jobs.refine.transform.step import Step

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def steps(table: SilverTable, packages: Sequence[str]) -> list[Step]:
    """The steps that shape a table's rows, in the order of their application.

    Args:
        packages: the top-level Python packages whose functions may be called.
    """
    found = []
    if table.where is not None:
        found.append(Step("where", table.where, partial(_where, table=table)))
    if table.envelope is not None:
        opening = opening_of(table)
        found.append(Step("envelope", table.envelope.format, opening.opened))
    for name, parse in table.parse.items():
        step = partial(_parse, name=name, parse=parse)
        found.append(Step(f"parse.{name}", parse.schema_, step))
    for item, items in table.explode.items():
        found.append(Step(f"explode.{item}", items, partial(_explode, item=item, items=items)))
    for place, name in enumerate(table.flatten or ()):
        found.append(Step(f"flatten[{place}]", name, partial(_flatten, name=name)))
    for old, new in table.rename.items():
        found.append(Step(f"rename.{old}", new, partial(_rename, old=old, new=new)))
    if table.transform is not None:
        call = partial(_transform, name=table.transform, packages=packages)
        found.append(Step("transform", table.transform, call))
    return found


def opening_of(table: SilverTable) -> Opening:
    """How the messages that the table reads are opened."""
    assert table.envelope is not None
    return Opening(table.envelope, schemas.parse_ddl(table.envelope.schema_), table.identity)


def parse_failed(name: str) -> str:
    """The hidden column that is true if `parse` could not read all of the column's text."""
    return f"parse {name}"


def taken(rows: DataFrame, table: SilverTable) -> Column:
    """Whether a row of the source passes `where` and, with an envelope, is a change."""
    is_change = opening_of(table).is_change(rows) if table.envelope else F.lit(True)
    return _passes(rows, table) & is_change


def passing(rows: DataFrame, table: SilverTable) -> DataFrame:
    """The rows of the source that pass `where`."""
    return rows.where(_passes(rows, table))


def _passes(rows: DataFrame, table: SilverTable) -> Column:
    """Whether a row of the source passes `where`, or `where` cannot be decided."""
    if table.where is None:
        return F.lit(True)
    return F.coalesce(F.expr(table.where), F.lit(False)) | rescued.undecided(rows, table)


def _where(rows: DataFrame, table: SilverTable) -> DataFrame:
    if not rescued.decides_where(table):
        return rows.where(F.expr(table.where or "true"))
    return rows.where(_passes(rows, table)).withColumn(UNDECIDED, rescued.undecided(rows, table))


def _parse(rows: DataFrame, name: str, parse: Parse) -> DataFrame:
    field, kind = casts.named(rows, name), DataType.fromDDL(parse.schema_)
    if not isinstance(field.dataType, StringType):
        raise casts.wrong(f"{name} is {field.dataType.simpleString()}, not JSON text")
    if not is_nested(kind):
        raise casts.wrong(
            f"{parse.schema_} has no columns: give columns, or an array, map or struct; for "
            "other types use `cast`"
        )
    if parse.rest is not None:
        if not isinstance(kind, StructType):
            raise casts.wrong(f"{name}: `rest` needs a schema of columns, not {parse.schema_}")
        if parse.rest.lower() in map(str.lower, kind.names):
            raise casts.wrong(f"{name}: `rest` is {parse.rest}, which is also one of its columns")
    text, read, failed = col(field.name), f"read {name}", parse_failed(name)
    rows = rows.withColumn(read, _reading(text, kind, parse.rest))
    unread = ~col(read)["fits"]
    rows = casts.rescue(
        rows.withColumn(failed, unread), {field.name: F.when(unread, text)}, done="parse"
    )
    return casts.replaced(rows, field.name, col(read)["value"].alias(field.name)).drop(col(read))


def _reading(text: Column, kind: DataType, rest: str | None) -> Column:
    """The `value` of a JSON text, and whether all parts of it `fits`; never null."""
    if isinstance(kind, StructType) and rest is not None:
        return strict.reading_with_rest(text, kind, rest)
    return strict.reading(text, kind)


def _explode(rows: DataFrame, item: str, items: str) -> DataFrame:
    field = casts.named(rows, items)
    if not isinstance(field.dataType, ArrayType):
        raise casts.wrong(f"{items} is {field.dataType.simpleString()}, not an array")
    each = F.explode_outer(col(field.name)).alias(item)
    if item.lower() == items.lower():
        return casts.replaced(rows, field.name, each)
    _check_free(rows, item, f"the items of {items}")
    return rows.select("*", each)


def _flatten(rows: DataFrame, name: str) -> DataFrame:
    field = casts.named(rows, name)
    if not isinstance(field.dataType, StructType):
        raise casts.wrong(f"{name} is {field.dataType.simpleString()}, not a struct")
    others = rows.drop(col(field.name))
    columns, taken = [], dict[str, str]()
    for inner in field.dataType:
        new, old = f"{field.name}_{inner.name}", f"{field.name}.{inner.name}"
        if not namable(inner.name):
            raise casts.wrong(f"no table can have a column {new!r}, which {old} would become")
        if new.lower() in taken:
            raise casts.wrong(f"{old} and {taken[new.lower()]} would both become {new}")
        _check_free(others, new, old)
        taken[new.lower()] = old
        columns.append(col(field.name).getField(inner.name).alias(new))
    return casts.replaced(rows, field.name, *columns)


def _rename(rows: DataFrame, old: str, new: str) -> DataFrame:
    field = casts.named(rows, old)
    if old.lower() != new.lower():
        _check_free(rows, new, field.name)
    return casts.replaced(rows, field.name, col(field.name).alias(new))


def _transform(rows: DataFrame, name: str, packages: Sequence[str]) -> DataFrame:
    return functions.called(name, functions.load(name, packages), rows)


def _check_free(rows: DataFrame, new: str, old: str) -> None:
    """Raises UsageError if a column already has the name `new` that `old` would get."""
    has = next((name for name in rows.columns if name.lower() == new.lower()), None)
    if has is not None:
        raise casts.wrong(f"{old} cannot become {new}: there is a column {has} already")
