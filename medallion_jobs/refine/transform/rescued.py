"""Values that did not fit their column: null in the row, but kept as text.

A value that did not fit is not a missing value. If it is in a key, or in a column that a rule
reads, the row must not be treated like a row without a value: it would be dropped, be a duplicate
of other rows without a key, or find no match. Such a row is quarantined with the text.

The texts come from `_rescued_data` (what bronze could not read as the column's type, and JSON
text that `parse` could not read in full) and from casts that could not read a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType, StructType

from medallion_jobs.config import Expectation, Lookup, SilverTable
from medallion_jobs.lake.columns import RESCUED
from medallion_jobs.lake.hidden_columns import MISFITS, ROW, hidden, row_type
from medallion_jobs.lake.tables.sql import col, quoted, unquoted
from medallion_jobs.lake.values import strict
from medallion_jobs.lake.values.type_walk import is_nested
from medallion_jobs.refine.transform.compute import cast_failed

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_MAX_TEXT = 80
# A string literal, or a name in backticks (in which a quote starts no literal).
_TEXT = re.compile(r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|`(?:[^`]|``)*`", re.DOTALL)
_PART = r"(?:`(?:[^`]|``)+`|[A-Za-z_]\w*)"
# A name, or names with dots between, but no function name (a parenthesis follows).
_NAMES = re.compile(rf"(?<![\w.`])({_PART}(?:\.{_PART})*)(?!\w|\s*\()")


@dataclass(frozen=True)
class RowValue:
    """A column of a shaped row, or a field inside it, that a part of the config reads.

    Attributes:
        column: the name of the column.
        path: the names of the fields inside it, from the outside in.
    """

    column: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        # Quoted as in SQL: the column `c.d` is not the field d of the column c.
        return ".".join(map(quoted, [self.column, *self.path]))

    @property
    def value(self) -> Column:
        """Its value in the row."""
        return reduce(lambda inner, name: inner.getField(name), self.path, col(self.column))

    def type_in(self, schema: StructType) -> DataType:
        """Its type in rows of this schema."""
        kind = schema[self.column].dataType
        for name in self.path:
            assert isinstance(kind, StructType)  # the path was made along structs
            kind = kind[name].dataType
        return kind

    def texts(self, table: SilverTable, rescued: Column) -> Iterator[Column]:
        """The texts that rescued data may have of it.

        Args:
            rescued: rescued data as map<string,string>, by the source's column.
        """
        for key, path in _sources(table, self.column, self.path):
            text = F.element_at(rescued, F.lit(key))
            for name in path:
                # Not `get_json_object`: its paths cannot have a quote in a name.
                text = F.element_at(F.from_json(text, "map<string,string>"), F.lit(name))
            yield text


RowValues = frozenset[RowValue]


@dataclass(frozen=True)
class Readers:
    """Which values of a shaped row the parts of a table's config read.

    Attributes:
        lookups: by index, those of the lookup's keys and moment.
        rules: by name, those of the columns that the rule reads.
        where: those that `where` reads, if they are still columns of the row.
        keys: those of the columns that identify rows or order them.
    """

    lookups: tuple[RowValues, ...]
    rules: Mapping[str, RowValues]
    where: RowValues
    keys: RowValues

    @classmethod
    def of(cls, table: SilverTable, shaped: StructType) -> Readers:
        """Traces the columns of a shaped row through the rest of a table's config."""
        row = _Row.of(shaped)
        where = row.made_from(table.where or "")
        lookups = []
        for lookup in table.lookups:
            lookups.append(row.made_from_all(_keys(lookup)))
            row = row.having({here: frozenset() for here in _new_columns(lookup)})
        for name, sql in table.columns.items():
            row = row.having({name: row.made_from(sql)})
        return cls(
            lookups=tuple(lookups),
            where=where,
            rules={
                name: row.made_from_all(_columns_of(rule)) | row.made_from(rule.check or "")
                for name, rule in table.expect.items()
            },
            keys=row.made_from_all(_identifying(table))
            | row.made_from(table.deletes.when if table.deletes else ""),
        )

    @property
    def all(self) -> RowValues:
        """Every value that a part of the config reads."""
        return frozenset().union(self.keys, self.where, *self.lookups, *self.rules.values())


@dataclass(frozen=True)
class _Row:
    """The values that the columns of a row are computed from, by name in lower case."""

    shaped: StructType
    columns: Mapping[str, RowValues]

    @classmethod
    def of(cls, shaped: StructType) -> _Row:
        own = {name.lower(): frozenset([RowValue(name)]) for name in shaped.names}
        return cls(shaped, own)

    def having(self, columns: Mapping[str, RowValues]) -> _Row:
        """The row with columns added or replaced."""
        more = {name.lower(): row_values for name, row_values in columns.items()}
        return _Row(self.shaped, {**self.columns, **more})

    def made_from_all(self, texts: Iterable[str]) -> RowValues:
        """The values that columns, or SQL expressions over the row, read."""
        found: RowValues = frozenset()
        for text in texts:
            own = self.columns.get(text.lower())
            found |= self.made_from(text) if own is None else own
        return found

    def made_from(self, sql: str) -> RowValues:
        """The values that SQL over the row reads."""
        found: set[RowValue] = set()
        for root, *path in names_read(sql):
            row_values = self.columns.get(root.lower(), frozenset())
            found |= {self._inside(value, path) for value in row_values}
        return frozenset(found)

    def _inside(self, row_value: RowValue, names: Iterable[str]) -> RowValue:
        """The field inside a value, as far as these names lead through structs."""
        kind: DataType = self.shaped[row_value.column].dataType
        path: list[str] = []
        for name in (*row_value.path, *names):
            if not isinstance(kind, StructType):
                break
            field = next((f for f in kind if f.name.lower() == name.lower()), None)
            if field is None:
                break
            path.append(field.name)
            kind = field.dataType
        return RowValue(row_value.column, tuple(path))


def names_read(sql: str) -> Iterator[list[str]]:
    """The names that SQL over a row reads: a column, and the names of fields inside it."""
    for names in _NAMES.findall(_TEXT.sub(lambda match: "''" if match[1] else match[0], sql)):
        yield [unquoted(part) for part in re.findall(_PART, names)]


def looked_up(table: SilverTable) -> Iterator[str]:
    """The columns that lookups add."""
    for lookup in table.lookups:
        yield from _new_columns(lookup)


def with_misfits(rows: DataFrame, table: SilverTable) -> DataFrame:
    """Adds `MISFITS` to rows after their casts: by value, why it did not fit its type.

    It is null in a row whose values fit or are missing.
    """
    row_values = sorted(Readers.of(table, row_type(rows)).all, key=str)
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
    return rows.withColumn(MISFITS, F.when(some, strict.let(texts, misfits)))


def misfit(row_values: RowValues) -> Column:
    """Whether one of these values did not fit, by `MISFITS`; never null."""
    if not row_values:
        return F.lit(False)
    names = F.array(*(F.lit(str(value)) for value in sorted(row_values, key=str)))
    return F.coalesce(F.arrays_overlap(F.map_keys(hidden(MISFITS)), names), F.lit(False))


def reasons() -> Column:
    """Why values of a row did not fit, by `MISFITS`, as array<string>."""
    entries = F.map_entries(hidden(MISFITS))
    lines = F.transform(entries, lambda item: F.concat(item["key"], F.lit(": "), item["value"]))
    return F.coalesce(lines, F.array().cast("array<string>"))


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
    reads = _Row.of(rows.schema).made_from(table.where)
    unfit = [
        read.value.isNull() & text.isNotNull()
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
    # A struct, an array or a map keeps the parts that fit, so it need not be null.
    is_partly_kept = is_nested(kind) and not row_value.path
    is_missing = F.lit(True) if is_partly_kept else row_value.value.isNull()
    return F.when(is_missing & text.isNotNull(), entry)


def _sources(
    table: SilverTable, column: str, path: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The columns of the source, with paths, that a column of a shaped row may come from.

    It follows the shape steps backwards. A column that a Python transform makes cannot be
    traced: it is looked for in the source under its own name.
    """
    for old, new in table.rename.items():
        if new.lower() == column.lower():
            yield from _unflattened(table, old, path)
            return
    yield from _unflattened(table, column, path)


def _unflattened(
    table: SilverTable, column: str, path: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for item, items in table.explode.items():
        if item.lower() == column.lower():
            # The element is unknown: rescued data has the whole array.
            yield items, ()
            return
    yield column, path
    for name in table.flatten or ():
        if column.lower().startswith(f"{name.lower()}_"):
            yield from _unflattened(table, name, (column[len(name) + 1 :], *path))


def _keys(lookup: Lookup) -> list[str]:
    return [*lookup.on.values(), *([lookup.as_of] if lookup.as_of else [])]


def _new_columns(lookup: Lookup) -> list[str]:
    return [here for here, name in lookup.take.items() if lookup.on.get(name) != here]


def _columns_of(rule: Expectation) -> Iterator[str]:
    """The columns, or SQL expressions, that a rule reads, without its `check`."""
    if rule.references is not None:
        yield from rule.references.on.values()
    columns = (rule.not_null, rule.not_rescued, rule.unique)
    by_column = (rule.in_set, rule.matches, rule.between, rule.recent)
    for names in (*columns, *by_column):
        yield from names or ()


def _identifying(table: SilverTable) -> Iterator[str]:
    """The columns that identify a table's rows, and those that order them."""
    yield from table.keys or ()
    yield from (table.dedupe.keys if table.dedupe else None) or ()
    if table.sequence:
        yield table.sequence
    if table.dedupe and table.dedupe.order_by:
        yield table.dedupe.order_by
