"""What other tables of a config read of a silver table, as SQL over its columns.

A value that did not fit is a null in the table, unless its row is quarantined. To the tables that
read it the null looks like a missing value, so the batch says how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from medallion_jobs.config import GoldTable, Pipeline, SilverTable, TableRef
from medallion_jobs.refine.transform import readers

ReadElsewhere = Mapping[str, tuple[str, ...]]


def of(config: Pipeline, ref: TableRef) -> ReadElsewhere:
    """By table, as `layer.name`: the columns, and SQL over them, that it reads of `ref`."""
    gold = {f"gold.{n}": _of_gold(t) for n, t in config.gold.items() if t.from_ == ref}
    silver = {f"silver.{n}": _of_silver(t, ref) for n, t in config.silver.items()}
    found = {name: tuple(read) for name, read in {**silver, **gold}.items()}
    return {name: read for name, read in found.items() if read}


def _of_gold(table: GoldTable) -> Iterator[str]:
    yield from table.group_by or ()
    if table.where:
        yield table.where
    if table.period:
        yield table.period.of
    for measure in table.measures.values():
        yield from (measure.of, measure.where or "", *(measure.by or ()))


def _of_silver(table: SilverTable, ref: TableRef) -> Iterator[str]:
    if table.from_ == ref and table.on_rescued != "null":
        renamed = {new: old for old, new in table.rename.items()}
        for read in readers.read_by(table):
            yield table.columns.get(read, renamed.get(read, read))
    for lookup in table.lookups:
        if lookup.table == ref:
            yield from (*lookup.on, *lookup.take.values())
    for rule in table.expect.values():
        if rule.references and rule.references.table == ref:
            yield from rule.references.on
