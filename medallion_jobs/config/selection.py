"""Selects tables of a pipeline by name, by pattern, and by what reads what.

silver.orders     the table                 +gold.sales   and all that it reads
silver.orders+    and all that reads it     +silver.orders+   both
silver            a layer                   silver.*, *.orders   patterns
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from medallion_jobs.config.model import Pipeline
from medallion_jobs.config.names import LAYERS, TableRef
from medallion_jobs.errors import UsageError

# What each table reads, each after those that it reads.
Reads = Mapping[TableRef, Sequence[TableRef]]
_TERM = re.compile(r"(?P<sources>\+?)(?P<pattern>[^+]+)(?P<readers>\+?)")
_MOST_NEAR = 3


@dataclass(frozen=True)
class Selection:
    """The tables that a command is about.

    Attributes:
        select: terms such as `silver.orders+`, each of which adds tables; without any, all are
            selected. One text may have several, separated by commas or spaces.
        exclude: terms whose tables are taken out again.
    """

    select: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.select or self.exclude)

    def of(self, config: Pipeline) -> tuple[TableRef, ...]:
        """The selected tables, each after those that it reads.

        Raises:
            UsageError: a term names no table, or no table is left.
        """
        graph = reads(config)
        chosen = _named(graph, "--select", self.select) if self.select else set(graph)
        chosen -= _named(graph, "--exclude", self.exclude)
        if self and not chosen:
            raise UsageError(
                f"no table of {config.pipeline} is left"
                + "".join(f", with --select {term}" for term in self.select)
                + "".join(f", without --exclude {term}" for term in self.exclude),
                code="selection_is_empty",
                untouched="nothing was done",
                next_step=_all_of(graph),
            )
        return tuple(table for table in graph if table in chosen)

    def loads_sinks(self, config: Pipeline, layers: Collection[str] = LAYERS) -> bool:
        """Whether a run of the selected tables of some layers loads sinks, and needs logins.

        Raises:
            UsageError: as `of`.
        """
        chosen = self.of(config)
        return "gold" in layers and any(
            table.sinks and TableRef("gold", name) in chosen for name, table in config.gold.items()
        )


def reads(config: Pipeline) -> Reads:
    """What each table reads: its source, and the dimensions of its lookups and rules.

    Tables that the pipeline does not write are left out.
    """
    found: dict[TableRef, tuple[TableRef, ...]] = {
        TableRef("bronze", name): () for name in config.bronze
    }
    for name in config.silver_in_order():
        table = config.silver[name]
        used = dict.fromkeys((table.from_, *table.dimensions))
        found[TableRef("silver", name)] = tuple(ref for ref in used if ref in found)
    for name, aggregate in config.gold.items():
        found[TableRef("gold", name)] = tuple(ref for ref in (aggregate.from_,) if ref in found)
    return found


def readers(graph: Reads, tables: Iterable[TableRef]) -> set[TableRef]:
    """The tables that read one of `tables`, directly or not; without `tables` themselves."""
    given = set(tables)
    found = set(given)
    for table, used in graph.items():
        if not found.isdisjoint(used):
            found.add(table)
    return found - given


def _sources(graph: Reads, tables: Iterable[TableRef]) -> set[TableRef]:
    """The tables that `tables` read, directly or not."""
    found = set(tables)
    for table in reversed(list(graph)):
        if table in found:
            found.update(graph[table])
    return found


def _named(graph: Reads, option: str, texts: Sequence[str]) -> set[TableRef]:
    return {table for term in _terms(texts) for table in _of_term(graph, option, term)}


def _terms(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        # An empty text is a term, too, and names nothing.
        yield from re.split(r"[,\s]+", text.strip())


def _of_term(graph: Reads, option: str, term: str) -> set[TableRef]:
    found = _TERM.fullmatch(term)
    pattern = found["pattern"] if found else ""
    whole = f"{pattern}.*" if pattern in LAYERS else pattern
    tables = {table for table in graph if fnmatchcase(str(table), whole)}
    if not found or not tables:
        raise _unknown(graph, option, term, pattern)
    around = set(tables)
    if found["sources"]:
        around |= _sources(graph, tables)
    if found["readers"]:
        around |= readers(graph, tables)
    return around


def _unknown(graph: Reads, option: str, term: str, pattern: str) -> UsageError:
    names = {str(table).lower(): str(table) for table in graph}
    short = {table.name.lower(): str(table) for table in graph}
    wanted = pattern.lower()
    near = [known[match] for known in (names, short) for match in get_close_matches(wanted, known)]
    hint = " or ".join(dict.fromkeys(near[:_MOST_NEAR]))
    return UsageError(
        f"{option} {term or repr(term)}: no table has this name",
        code="selection_unknown",
        untouched="nothing was done",
        next_step=(f"did you mean {hint}? " if hint else "") + _all_of(graph),
    )


def _all_of(graph: Reads) -> str:
    return f"the tables are: {', '.join(map(str, graph))}"
