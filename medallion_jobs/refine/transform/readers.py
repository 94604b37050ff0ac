"""Which values of a row the parts of a table's config read, traced back to the source.

The names of columns are found in the SQL of the config. A column that is computed from others is
followed to them, and a column of a shaped row to the column of the source that it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType

from medallion_jobs.config import Expectation, Lookup, SilverTable
from medallion_jobs.lake.tables.sql import col, quoted, unquoted
from medallion_jobs.lake.values.type_walk import is_nested

if TYPE_CHECKING:
    from pyspark.sql import Column

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
            yield reduce(_text_inside, path, F.element_at(rescued, F.lit(key)))

    def is_unfit(self, kind: DataType, text: Column) -> Column:
        """Whether the value, or a part of it, did not fit.

        Args:
            kind: its type.
            text: what rescued data has of it; null if nothing.
        """
        if not is_nested(kind):
            return self.value.isNull() & text.isNotNull()
        # It keeps the parts that fit, so it need not be null. And it may all fit, if it is part of
        # a column that was rescued because of another part.
        fits = F.coalesce(F.to_json(self.value) == text, F.lit(False))
        return text.isNotNull() & ~fits


RowValues = frozenset[RowValue]


@dataclass(frozen=True)
class Readers:
    """Which values of a shaped row the parts of a table's config read.

    Attributes:
        lookups: by index, those of the lookup's keys and moment.
        rules: by name, those of the columns that the rule reads.
        where: those that `where` reads, if they are still columns of the row.
        keys: those of the columns that identify rows, order them or say when they happened.
        watched: those of the columns of `not_rescued` rules.
        elsewhere: by table, those of the columns that it reads of this one.
    """

    lookups: tuple[RowValues, ...]
    rules: Mapping[str, RowValues]
    where: RowValues
    keys: RowValues
    watched: RowValues
    elsewhere: Mapping[str, RowValues]

    @classmethod
    def of(
        cls, table: SilverTable, shaped: StructType, elsewhere: Mapping[str, Iterable[str]] = {}
    ) -> Readers:
        """Traces the columns of a shaped row through the rest of a table's config.

        Args:
            elsewhere: by table, the columns and SQL over them that it reads of this one.
        """
        row = Row.of(shaped)
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
            keys=row.made_from_all(_identifying(table)).union(
                *(row.made_from(sql) for sql in table.kinds_of_change)
            ),
            watched=row.made_from_all(
                name for rule in table.expect.values() for name in rule.not_rescued or ()
            ),
            elsewhere={name: row.made_from_all(read) for name, read in elsewhere.items()},
        )

    @property
    def all(self) -> RowValues:
        """Every value that a part of the table's config reads."""
        return frozenset().union(self.keys, self.where, *self.lookups, *self.rules.values())

    @property
    def passed_on(self) -> Mapping[RowValue, tuple[str, ...]]:
        """The values that other tables read, each with these tables.

        Left out are those for which a row is quarantined anyway, and those that a rule watches.
        """
        known = self.watched.union(self.keys, *self.lookups)
        found: dict[RowValue, tuple[str, ...]] = {}
        for name, row_values in self.elsewhere.items():
            for value in sorted(row_values - known, key=str):
                found[value] = (*found.get(value, ()), name)
        return found


@dataclass(frozen=True)
class Row:
    """The values that the columns of a row are computed from, by name in lower case."""

    shaped: StructType
    columns: Mapping[str, RowValues]

    @classmethod
    def of(cls, shaped: StructType) -> Row:
        own = {name.lower(): frozenset([RowValue(name)]) for name in shaped.names}
        return cls(shaped, own)

    def having(self, columns: Mapping[str, RowValues]) -> Row:
        """The row with columns added or replaced."""
        more = {name.lower(): row_values for name, row_values in columns.items()}
        return Row(self.shaped, {**self.columns, **more})

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


def read_by(table: SilverTable) -> Iterator[str]:
    """The columns, and SQL over them, that the parts of a table's config read."""
    yield table.where or ""
    for lookup in table.lookups:
        yield from _keys(lookup)
    for rule in table.expect.values():
        yield from (*_columns_of(rule), rule.check or "")
    yield from _identifying(table)
    yield from table.kinds_of_change


def _text_inside(text: Column, name: str) -> Column:
    """The text of a field, in the text of the struct around it.

    A text that is no JSON object did not fit the struct as a whole, nor does any field of it.
    """
    # Not `get_json_object`: its paths cannot have a quote in a name.
    fields = F.from_json(text, "map<string,string>")
    # Spark stops reading after the first whole value.
    alone = F.from_json(F.concat(F.lit("["), text, F.lit(",1]")), "array<string>")
    is_object = F.coalesce(fields.isNotNull() & (F.size(alone) == 2), F.lit(False))  # noqa: PLR2004
    return F.when(is_object, F.element_at(fields, F.lit(name))).otherwise(text)


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
    """The columns that identify a table's rows, those that order them, and their event time."""
    yield from table.identity
    yield from (table.dedupe.keys if table.dedupe else None) or ()
    yield from table.sequence_columns
    if table.watermark:
        yield table.watermark.column
    if table.dedupe and table.dedupe.order_by:
        yield table.dedupe.order_by
