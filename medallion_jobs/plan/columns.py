"""The columns that tables have, and those that the config gives them; found without a JVM.

What depends on the type of an expression is left to Spark: such a column has no type here. Where a
Python function or a message decides about the columns, they are unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pyspark.sql.types import DataType, StringType, StructField, StructType

from medallion_jobs.autoloader.loading import account
from medallion_jobs.autoloader.schemas import evolution, hints
from medallion_jobs.autoloader.schemas.columns import of_table
from medallion_jobs.autoloader.schemas.registry import Registry
from medallion_jobs.config import FileSource, GoldTable, Pipeline, SilverTable, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.columns import RESCUED
from medallion_jobs.lake.hidden_columns import DUMP
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import ddl, snapshot
from medallion_jobs.refine.transform import readers
from medallion_jobs.refine.write import modes

# By name, the type as far as it is known.
Columns = Mapping[str, DataType | None]


@dataclass(frozen=True)
class LakeColumns:
    """The columns of the tables of a pipeline, on disk and by its config."""

    config: Pipeline
    _on_disk: dict[TableRef, StructType | None] = field(default_factory=dict, repr=False)

    def on_disk(self, ref: TableRef) -> StructType | None:
        """The columns that a table has; None if there is no table."""
        if ref not in self._on_disk:
            found = snapshot(TablePaths(self.config, ref).data)
            self._on_disk[ref] = StructType.fromJson(found.schema) if found else None
        return self._on_disk[ref]

    @cached_property
    def by_config(self) -> Mapping[TableRef, Columns | None]:
        """The columns that the config gives to each table; None where they are unknown."""
        found: dict[TableRef, Columns | None] = {}
        for name in self.config.bronze:
            ref = TableRef("bronze", name)
            try:
                declared = self.bronze(name) or self.on_disk(ref)
            except UsageError:  # the plan of the table says so
                declared = None
            found[ref] = _as_columns(declared)
        for name in self.config.silver_in_order():
            found[TableRef("silver", name)] = self._silver(self.config.silver[name], found)
        for name, table in self.config.gold.items():
            found[TableRef("gold", name)] = dict.fromkeys(_of_gold(table))
        return found

    def bronze(self, name: str) -> StructType | None:
        """All columns of a bronze table of files; None where they are unknown.

        Raises:
            UsageError: a schema hint contradicts the columns.
        """
        source = self.config.bronze[name].source
        if not isinstance(source, FileSource):
            return None
        paths = TablePaths(self.config, TableRef("bronze", name))
        table = self.on_disk(paths.ref)
        latest = Registry(paths.schemas).settled(table.jsonValue() if table else None)
        recorded = StructType.fromJson(latest.schema) if latest else None
        known = ddl.columns(source.schema_) if source.schema_ else recorded
        if known is not None and source.schema_hints:
            kinds = {h.path: ddl.kind(h.type_text) for h in hints.split(source.schema_hints)}
            types = {path: kind for path, kind in kinds.items() if kind is not None}
            known = hints.apply(known, types) if len(types) == len(kinds) else None
        if known is None:
            return None
        if source.schema_ and source.grows and recorded is not None:
            known = evolution.merge(recorded, known)
        before = {field.name: field for field in recorded or ()}
        folders = [
            before.get(name, StructField(name, StringType()))
            for name in source.partition_columns or ()
        ]
        has_versions = source.keeps_versions or account.has_versions(paths.data)
        return of_table(source, known, StructType(folders), has_versions=has_versions)

    def read(self, ref: TableRef) -> Columns | None:
        """The columns of a table that is read: by the config, else as they are on disk."""
        if ref in self.by_config:
            return self.by_config[ref]
        return _as_columns(self.on_disk(ref))

    def _kinds(self, ref: TableRef, before: Mapping[TableRef, Columns | None]) -> Columns:
        """The columns of a table that is read; one that is there may have wider types."""
        return {**(before.get(ref) or {}), **(_as_columns(self.on_disk(ref)) or {})}

    def _silver(
        self, table: SilverTable, before: Mapping[TableRef, Columns | None]
    ) -> Columns | None:
        row = self._row(table, before)
        own = declared_by(table)
        if own is None and table.schema_:
            return None  # only Spark can read it
        if own is None and table.select:
            own = {name: (row or {}).get(name) for name in table.selected}
        own = row if own is None else own
        if own is None:
            return None
        changes = table.apply_changes
        listed = changes.columns_of(own) if changes else tuple(own)
        return {**{name: own[name] for name in listed}, **added_by(table, own, row or {})}

    def _row(self, table: SilverTable, before: Mapping[TableRef, Columns | None]) -> Columns | None:
        """The columns of a computed row."""
        source = before.get(table.from_)
        if source is None or table.transform or table.envelope:
            return None
        kinds = self._kinds(table.from_, before)
        row = {name: kinds.get(name) for name in source}
        for name, parse in table.parse.items():
            row[_spelled(row, name)] = ddl.columns(parse.schema_) or ddl.kind(parse.schema_)
        for item in table.explode:
            row[_spelled(row, item)] = None
        for name in table.flatten or ():
            outer = _spelled(row, name)
            kind = row.pop(outer, None)
            if not isinstance(kind, StructType):
                return None
            row |= {f"{outer}_{inner.name}": inner.dataType for inner in kind}
        for old, new in table.rename.items():
            row[new] = row.pop(_spelled(row, old), None)
        for name, cast in table.cast.items():
            row[_spelled(row, name)] = ddl.kind(cast.to)
        if table.parse or any(cast.rescue for cast in table.cast.values()):
            row.setdefault(RESCUED, StringType())
        for lookup in table.lookups:
            kinds = self._kinds(lookup.table, before)
            taken = {here: kinds.get(_spelled(kinds, name)) for here, name in lookup.take.items()}
            row |= {h: kind for h, kind in taken.items() if lookup.on.get(lookup.take[h]) != h}
        for name, sql in table.columns.items():
            kind = row.get(_spelled(row, sql))
            row.pop(_spelled(row, name), None)
            row[name] = kind
        return row


def _spelled(row: Iterable[str], name: str) -> str:
    """A name as the row has it: letter case may differ."""
    return next((known for known in row if known.lower() == name.lower()), name)


def declared_by(table: SilverTable) -> Columns | None:
    """The columns of a silver table's `schema`; None if it has none that can be read here."""
    declared = ddl.columns(table.schema_) if table.schema_ else None
    return None if declared is None else _as_columns(declared)


def added_by(table: SilverTable, own: Columns, row: Columns) -> Columns:
    """The columns that the way of writing adds to the columns of a row; without their types."""
    given = {**dict.fromkeys(table.sequence_columns), **row, **own, DUMP: None}
    rows = StructType([StructField(name, kind or StringType()) for name, kind in given.items()])
    added = [field.name for field in modes.extra_fields(table, rows, rows)]
    return dict.fromkeys([*filter(None, [table.surrogate_key]), *added])


def left(before: StructType | None, after: Columns | None) -> frozenset[str]:
    """The columns that a table has and its config does not give any more, in lower case."""
    if before is None or after is None:
        return frozenset()
    return frozenset(map(str.lower, before.names)) - frozenset(map(str.lower, after))


def still_read(table: SilverTable | GoldTable, gone: Collection[str]) -> Iterator[tuple[str, str]]:
    """The keys of a table's config that read columns which its source has no more.

    Args:
        gone: names in lower case.

    Yields:
        The key, such as `columns.total`, and the column.
    """
    waiting = set(gone)
    steps = _gold_steps(table) if isinstance(table, GoldTable) else _silver_steps(table)
    for key, read, made in steps:
        names = {root.lower(): root for text in read for root, *_ in readers.names_read(text)}
        yield from ((key, names[name]) for name in sorted(names.keys() & waiting))
        # What a step makes is there again, under the same name.
        waiting -= {name.lower() for name in made}


Step = tuple[str, Iterable[str], Iterable[str]]


def _silver_steps(table: SilverTable) -> Iterator[Step]:
    """The steps by which a row is computed: key, what is read (SQL or columns), what is made."""
    yield "where", [table.where or ""], ()
    if table.envelope or table.transform:
        return
    for name in table.parse:
        yield f"parse.{name}", [name], ()
    for item, items in table.explode.items():
        yield f"explode.{item}", [items], [item]
    for name in table.flatten or ():
        yield "flatten", [name], ()
    for old, new in table.rename.items():
        yield f"rename.{old}", [old], [new]
    for name in table.cast:
        yield f"cast.{name}", [name], ()
    for lookup in table.lookups:
        read = [*lookup.on.values(), lookup.as_of or ""]
        made = [here for here, name in lookup.take.items() if lookup.on.get(name) != here]
        yield f"lookups[{lookup.table}]", read, made
    for name, sql in table.columns.items():
        yield f"columns.{name}", [sql], [name]
    for name, rule in table.expect.items():
        listed = [*(rule.not_null or ()), *(rule.unique or ()), *(rule.not_rescued or ())]
        by_name = [*(rule.in_set or ()), *(rule.matches or ()), *(rule.between or ())]
        keys = rule.references.on.values() if rule.references else ()
        yield f"expect.{name}", [rule.check or "", *listed, *by_name, *keys], ()
    yield "keys", [*table.identity, *table.sequence_columns], ()
    yield "select" if table.select else "schema", [*table.selected, *(declared_by(table) or ())], ()


def _gold_steps(table: GoldTable) -> Iterator[Step]:
    yield "where", [table.where or ""], ()
    yield "group_by", table.group_by or (), ()
    if table.period:
        yield "period", [table.period.of], ()
    for name, measure in table.measures.items():
        yield f"measures.{name}", [measure.of, measure.where or "", *(measure.by or ())], ()


def _of_gold(table: GoldTable) -> list[str]:
    period = table.period.columns if table.period else ()
    return [*(table.group_by or ()), *period, *table.measures, *table.columns]


def _as_columns(schema: StructType | None) -> Columns | None:
    return None if schema is None else {field.name: field.dataType for field in schema}
