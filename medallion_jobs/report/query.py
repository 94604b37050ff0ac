"""SQL over all tables of a lake, as they are or as they were."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb

from medallion_jobs.config import LAYERS, Pipeline, SavedQuery, TableRef
from medallion_jobs.config.problems import nearest
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import paths
from medallion_jobs.report.arrow import Batches, told
from medallion_jobs.report.lake_views import Row, View, catalog, connect, create
from medallion_jobs.report.sandbox import confine, refuse_changes
from medallion_jobs.report.time_travel import NotWrittenYet, Reading, TimeTravel
from medallion_jobs.storage import Location

# DuckDB's own size of a group of rows in a file.
_ROWS_AT_ONCE = 122_880

# Words in quotes are names and stay; texts and comments name nothing.
_NO_NAMES = re.compile(r"""("(?:[^"]|"")*")|'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_WORD = r'(?:"((?:[^"]|"")+)"|([A-Za-z_]\w*))'
_DOTTED = re.compile(rf'(?<![\w"])(?={_WORD}\s*\.\s*{_WORD})')

Key = tuple[str, str]


@dataclass
class Answer:
    """What a query gives, read once and in order.

    Attributes:
        versions: of the tables that are not read as they are now, by name.
    """

    batches: Batches
    versions: Mapping[str, int] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, each another."""
        return list(self.batches.schema.names)

    def rows(self) -> Iterator[Row]:
        """Rows of Python values."""
        for batch in self.batches:
            yield from zip(*(told(column) for column in batch.columns), strict=True)


@contextmanager
def asked(config: Pipeline, sql: str, past: TimeTravel | None = None) -> Iterator[Answer]:
    """The answer to a query, for as long as the block runs; it is read as it is computed.

    Raises:
        UsageError: the query is wrong, DuckDB's words tell how, at once or while it is read;
            it would do more than read; or there is no such version of a table.
    """
    known = catalog(config)
    named = names(sql)
    past = past or TimeTravel()
    tables = [_ref(key) for key in known if _folded(key) in named and key[0] in LAYERS]
    reading = past.of(config, tables)
    with connect(paths.lake(config)) as duck:
        try:
            create(duck, _queries(known, sql, named, reading))
            refuse_changes(duck, sql)
            confine(duck, (table for view in known.values() for table in view.tables))
            answer = duck.sql(sql)
            if answer is None:
                raise UsageError(
                    "that is no query: it gives no rows",
                    untouched="the tables; they can be read here, not changed",
                )
            reader = answer.to_arrow_reader(_ROWS_AT_ONCE)
        except duckdb.Error as error:
            raise _failed(error, known, reading) from error
        versions = {reading.name(path): number for path, number in reading.versions.items()}
        yield Answer(Batches(reader, lambda error: _failed(error, known, reading)), versions)


def run(
    config: Pipeline, sql: str, past: TimeTravel | None = None
) -> tuple[list[str], list[tuple[object, ...]]]:
    """Column names and rows of a query, all at once.

    Raises:
        UsageError: as `asked`.
    """
    with asked(config, sql, past) as answer:
        return answer.columns, list(answer.rows())


def saved(config: Pipeline, name: str) -> SavedQuery:
    """The query that has this name in the config.

    Raises:
        UsageError: none has.
    """
    found = config.queries.get(name)
    if found is None:
        like = nearest(name, config.queries)
        raise UsageError(
            f"no saved query `{name}`" + (f"; did you mean `{like}`?" if like else ""),
            next_step="medallion query --list",
        )
    return found


def names(sql: str) -> set[Key]:
    """Every `schema.table` that stands in a query, in lower case."""
    bare = _NO_NAMES.sub(lambda found: found[1] or " ", sql)
    return {
        (_word(found[1], found[2]), _word(found[3], found[4])) for found in _DOTTED.finditer(bare)
    }


def _word(quoted: str | None, bare: str | None) -> str:
    return (quoted or bare or "").replace('""', '"').casefold()


def _folded(key: Key) -> Key:
    return key[0].casefold(), key[1].casefold()


def _ref(key: Key) -> TableRef:
    return TableRef.parse(".".join(key))


def _queries(
    known: Mapping[Key, View], sql: str, named: set[Key], reading: Reading
) -> dict[Key, str]:
    """The SQL of all views that the query may use: it may also name one without its schema."""
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
    gone = _gone(str(error), reading.versions)
    if gone:
        return UsageError(
            f"{reading.name(gone)} can no longer be read at version {reading.versions[gone]}: "
            "data files of it were removed",
            next_step="take a later version; how long files are kept is the table's "
            "delta.deletedFileRetentionDuration",
        )
    there = ", ".join(f"{schema}.{view}" for schema, view in known)
    return UsageError(
        f"the query failed: {error}", next_step=f"tables there are: {there or 'none'}"
    )


def _gone(message: str, versions: Mapping[Location, int]) -> Location | None:
    """The table of an older version of which a file is missed."""
    if "No such file" not in message and "not found" not in message.casefold():
        return None
    return next((path for path in versions if f"{path}/" in message), None)
