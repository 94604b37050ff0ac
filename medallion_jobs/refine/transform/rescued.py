"""Values that did not fit their column: null in the row, but kept as text.

A value that did not fit is not a missing value. If it is in a key, or in a column that a rule
reads, the row must not be treated like a row without a value: it would be dropped, be a duplicate
of other rows without a key, or find no match. Such a row is quarantined with the text.

The texts come from `_rescued_data` (what bronze could not read as the column's type, and JSON
text that `parse` could not read in full) and from casts that could not read a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from medallion_jobs.config import SilverTable
from medallion_jobs.lake.columns import RESCUED
from medallion_jobs.lake.hidden_columns import MISFITS, ROW, hidden, row_type
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values.json_parts import let
from medallion_jobs.refine.transform.compute import cast_failed
from medallion_jobs.refine.transform.readers import Readers, Row, RowValue, RowValues

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_MAX_TEXT = 80


def with_misfits(
    rows: DataFrame, table: SilverTable, elsewhere: Mapping[str, Iterable[str]]
) -> DataFrame:
    """Adds `MISFITS` to rows after their casts: by value, why it did not fit its type.

    It is null in a row whose values fit or are missing.
    """
    readers = Readers.of(table, row_type(rows), elsewhere)
    row_values = sorted({*readers.all, *readers.passed_on}, key=str)
    if table.on_rescued == "null" or not row_values:
        return rows.withColumn(MISFITS, F.lit(None).cast("map<string,string>"))
    unread = [hidden(name) for name in rows.columns if name.startswith(("cast ", "parse "))]
    is_kept = RESCUED in rows.columns and rows.schema[RESCUED].dataType == StringType()
    rescued = col(RESCUED) if is_kept else F.lit(None).cast("string")
    some = reduce(or_, unread, rescued.isNotNull())

    def misfits(texts: Column) -> Column:
        entries = [_misfit(value, rows, table, texts) for value in row_values]
        found = F.array_compact(F.array(*entries))
        return F.when(F.size(found) > 0, F.map_from_entries(found))

    texts = F.from_json(rescued, "map<string,string>")
    return rows.withColumn(MISFITS, F.when(some, let(texts, misfits)))


def misfit(row_values: RowValues) -> Column:
    """Whether one of these values did not fit, by `MISFITS`; never null."""
    if not row_values:
        return F.lit(False)
    names = F.array(*(F.lit(str(value)) for value in sorted(row_values, key=str)))
    return F.coalesce(F.arrays_overlap(F.map_keys(hidden(MISFITS)), names), F.lit(False))


def reasons(row_values: RowValues) -> Column:
    """Why these values of a row did not fit, by `MISFITS`, as array<string>."""
    names = [str(value) for value in row_values]
    entries = F.filter(F.map_entries(hidden(MISFITS)), lambda item: item["key"].isin(names))
    lines = F.transform(entries, lambda item: F.concat(item["key"], F.lit(": "), item["value"]))
    return F.coalesce(lines, F.array().cast("array<string>"))


def passed_on(readers: Readers) -> Iterator[tuple[str, Column]]:
    """By a text for people: whether a row has a null for a value that did not fit.

    Only for values that another table reads: it takes the null for a missing value.
    """
    for value, tables in readers.passed_on.items():
        yield f"{value}, read by {', '.join(tables)}", misfit(frozenset([value]))


def decides_where(table: SilverTable) -> bool:
    """Whether rows for which `where` cannot be decided are kept and quarantined.

    Not with a Python transform, which may drop the hidden column that records it.
    """
    return table.where is not None and table.on_rescued != "null" and table.transform is None


def undecided(rows: DataFrame, table: SilverTable) -> Column:
    """Whether `where` is not true because a value that it reads did not fit."""
    if table.where is None or not decides_where(table):
        return F.lit(False)
    if RESCUED not in rows.columns or rows.schema[RESCUED].dataType != StringType():
        return F.lit(False)
    texts = F.from_json(col(RESCUED), "map<string,string>")
    reads = Row.of(rows.schema).made_from(table.where)
    unfit = [
        read.is_unfit(read.type_in(rows.schema), text)
        for read in sorted(reads, key=str)
        for text in read.texts(table, texts)
    ]
    is_taken = F.coalesce(F.expr(table.where), F.lit(False))
    return ~is_taken & col(RESCUED).isNotNull() & reduce(or_, unfit, F.lit(False))


def _misfit(row_value: RowValue, rows: DataFrame, table: SilverTable, texts: Column) -> Column:
    """The entry in `MISFITS` of a value that did not fit, else null."""
    kept = list(row_value.texts(table, texts))
    read = next((name for name in table.cast if name.lower() == row_value.column.lower()), None)
    if read is not None and not row_value.path:
        kept.append(F.when(hidden(cast_failed(read)), hidden(ROW)[row_value.column].cast("string")))
    text, kind = F.coalesce(*kept), row_value.type_in(rows.schema)
    fault = F.lit(f'" does not fit {kind.simpleString()}')
    why = F.concat(F.lit('"'), F.substring(text, 1, _MAX_TEXT), fault)
    entry = F.struct(F.lit(str(row_value)).alias("key"), why.alias("value"))
    return F.when(row_value.is_unfit(kind, text), entry)
