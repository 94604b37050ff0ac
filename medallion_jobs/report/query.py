"""SQL over all tables of a lake, as they are or as they were."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb

from medallion_jobs.checkpoint import orphans
from medallion_jobs.config import LAYERS, Pipeline, SavedQuery, TableRef
from medallion_jobs.config.problems import nearest
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import paths
from medallion_jobs.report.arrow import Batches, python_values
from medallion_jobs.report.lake_views import Row, View, catalog, connect, create
from medallion_jobs.report.sandbox import confine, refuse_changes
from medallion_jobs.report.time_travel import NotWrittenYet, Reading, TimeTravel
from medallion_jobs.storage import Location
from medallion_jobs.storage.duck import text

# DuckDB's own size of a group of rows in a file.
_ROWS_AT_ONCE = 122_880

# Quoted identifiers stay; string literals and comments contain no names.
_NOT_CODE = re.compile(r"""("(?:[^"]|"")*")|'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_WORD = r'(?:"((?:[^"]|"")+)"|([A-Za-z_]\w*))'
_DOTTED = re.compile(rf'(?<![\w"])(?={_WORD}\s*\.\s*{_WORD})')

_SHOW_TABLES = re.compile(
    r"\s*SHOW\s+(?:ALL\s+)?TABLES(?:\s+(?:FROM|IN)\s+(\w+))?\s*;?\s*", re.IGNORECASE
)

Key = tuple[str, str]


@dataclass
class Answer:
    """The result of a query; it can be read once, in order.

    Attributes:
        versions: the versions of tables that are read as of an older time, by table name.
        orphaned: tables that are read and that the config does not name any more.
    """

    batches: Batches
    versions: Mapping[str, int] = field(default_factory=dict)
    orphaned: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The column names, without duplicates."""
        return list(self.batches.schema.names)

    def rows(self) -> Iterator[Row]:
        """Rows of Python values."""
        for batch in self.batches:
            yield from zip(*(python_values(column) for column in batch.columns), strict=True)


@contextmanager
def answer_to(
    config: Pipeline, sql: str, time_travel: TimeTravel | None = None
) -> Iterator[Answer]:
    """The answer to a query, computed while it is read inside the block.

    Raises:
        UsageError: DuckDB refuses the query or fails while it is read, with DuckDB's message;
            the query would do more than read; or a table has no such version.
    """
    known = catalog(config)
    sql = _without_show(sql, known)
    named = names(sql)
    time_travel = time_travel or TimeTravel()
    tables = [_ref(key) for key in known if _folded(key) in named and key[0] in LAYERS]
    reading = time_travel.of(config, tables)
    _refuse_never_run(config, known, named)
    with connect(paths.lake(config)) as duck:
        try:
            create(duck, _queries(known, sql, named, reading))
            refuse_changes(duck, sql)
            confine(duck, (table for view in known.values() for table in view.tables))
            answer = duck.sql(sql)
            if answer is None:
                raise UsageError(
                    "the statement is not a query: it returns no rows",
                    code="not_a_query",
                    untouched="the tables; they are read-only here",
                )
            reader = answer.to_arrow_reader(_ROWS_AT_ONCE)
        except duckdb.Error as error:
            raise _failed(error, known, reading) from error
        versions = {reading.name(path): number for path, number in reading.versions.items()}
        left = tuple(str(ref) for ref in orphans(config) if ref in tables)
        yield Answer(Batches(reader, lambda error: _failed(error, known, reading)), versions, left)


def run(
    config: Pipeline, sql: str, time_travel: TimeTravel | None = None
) -> tuple[list[str], list[tuple[object, ...]]]:
    """Column names and rows of a query, all at once.

    Raises:
        UsageError: as for `answer_to`.
    """
    with answer_to(config, sql, time_travel) as answer:
        return answer.columns, list(answer.rows())


def saved(config: Pipeline, name: str) -> SavedQuery:
    """The saved query of this name.

    Raises:
        UsageError: the config has no such query.
    """
    found = config.queries.get(name)
    if found is None:
        similar = nearest(name, config.queries)
        raise UsageError(
            f"no saved query `{name}`" + (f"; did you mean `{similar}`?" if similar else ""),
            code="unknown_saved_query",
            next_step="medallion query --list",
        )
    return found


def names(sql: str) -> set[Key]:
    """Every `schema.table` that a query contains, in lower case."""
    bare = _NOT_CODE.sub(lambda found: found[1] or " ", sql)
    return {
        (_word(found[1], found[2]), _word(found[3], found[4])) for found in _DOTTED.finditer(bare)
    }


def _without_show(sql: str, known: Mapping[Key, View]) -> str:
    """SHOW TABLES as a query over all tables; DuckDB knows only those that a query names."""
    found = _SHOW_TABLES.fullmatch(sql)
    if not found:
        return sql
    listed = [key for key in known if found[1] is None or key[0] == found[1].casefold()]
    rows = ", ".join(f"({text(schema)}, {text(table)})" for schema, table in listed)
    return f'SELECT * FROM (VALUES {rows or "(NULL, NULL)"}) AS listed("schema", "table") WHERE "table" IS NOT NULL'  # noqa: S608,E501 (quoted)


def _refuse_never_run(config: Pipeline, known: Mapping[Key, View], named: set[Key]) -> None:
    """Raises UsageError if the query reads a table of the config that has never run."""
    existing = {_folded(key) for key in known}
    never = [
        str(ref)
        for ref in paths.sources(config)
        if (key := _folded((ref.layer, ref.name))) in named and key not in existing
    ]
    if never:
        raise UsageError(
            f"{', '.join(never)} has never run, so there is no such table yet",
            code="table_never_written",
            untouched="nothing was read",
            next_step="medallion run; the tables that exist: medallion query 'SHOW TABLES'",
        )


def _word(quoted: str | None, bare: str | None) -> str:
    return (quoted or bare or "").replace('""', '"').casefold()


def _folded(key: Key) -> Key:
    return key[0].casefold(), key[1].casefold()


def _ref(key: Key) -> TableRef:
    return TableRef.parse(".".join(key))


def _queries(
    known: Mapping[Key, View], sql: str, named: set[Key], reading: Reading
) -> dict[Key, str]:
    """The SQL of all views that the query may use; it can also name one without its schema."""
    found = {}
    for key, view in known.items():
        if key[1].casefold() not in sql.casefold():
            continue
        try:
            found[key] = view.sql(reading)
        except NotWrittenYet:
            if _folded(key) in named:
                raise
    return found


def _failed(error: Exception, known: Mapping[Key, View], reading: Reading) -> UsageError:
    removed = _removed_table(str(error), reading.versions)
    if removed:
        return UsageError(
            f"{reading.name(removed)} can no longer be read at version "
            f"{reading.versions[removed]}: some of its data files were removed",
            code="version_files_removed",
            next_step="use a later version; the table property delta.deletedFileRetentionDuration "
            "sets how long files are kept",
        )
    existing = ", ".join(f"{schema}.{view}" for schema, view in known)
    return UsageError(
        f"the query failed: {error}",
        code="query_failed",
        next_step=f"existing tables: {existing or 'none'}",
    )


def _removed_table(message: str, versions: Mapping[Location, int]) -> Location | None:
    """The table, read at an older version, of which DuckDB misses a file; None if there is none."""
    if "No such file" not in message and "not found" not in message.casefold():
        return None
    return next((path for path in versions if f"{path}/" in message), None)
