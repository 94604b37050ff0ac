"""The mistakes that are found, each at the key of the config that it is in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException
from pyspark.sql.types import BooleanType, NullType

from medallion_jobs.config import Origin, Problem, nearest
from medallion_jobs.errors import NoSuchColumn, UsageError
from medallion_jobs.lake.hidden_columns import is_hidden
from medallion_jobs.lake.tables.sql import over_row
from medallion_jobs.validation.spark_errors import explain, listed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass
class Attempt:
    """Whether the checked block has failed."""

    failed: bool = False


@dataclass
class Findings:
    """All mistakes of one config.

    A column that could not be computed has no type (void) in the rows that are checked next.
    What reads it is not judged by its type, so that one mistake is one problem.
    """

    spark: SparkSession
    origins: Mapping[str, Origin]
    problems: list[Problem] = field(default_factory=list)
    _missing: set[tuple[Origin, str]] = field(default_factory=set)
    _misspelt: set[str] = field(default_factory=set)

    @contextmanager
    def at(self, path: str, value: str, rows: DataFrame | None = None) -> Iterator[Attempt]:
        """Turns an error inside the block into a problem of the key at `path`.

        Args:
            value: the value of that key, such as an SQL expression.
            rows: what it is about; it may name their columns.
        """
        attempt = Attempt()
        try:
            yield attempt
        except PySparkException as error:
            attempt.failed = True
            columns = visible(rows.columns) if rows else []
            found = explain(error, value, columns, lambda: self._functions)
            if found.missing and self._is_told(path, found.missing, columns):
                return
            if found.is_of_types and reads_unknown(value, rows):
                return
            types = f"; {kinds}" if found.is_of_types and (kinds := _types(rows, value)) else ""
            what, meant = f"{found.what}{types}", found.nearest
            self.add(path, value, what, found.allowed, meant, at=found.at)
        except NoSuchColumn as error:
            attempt.failed = True
            for name in error.missing:
                self.missing(path, name, error.known, owner=error.owner)
        except UsageError as error:
            attempt.failed = True
            if not reads_unknown(value, rows):
                fix = f"; {error.next_step}" if error.code == "invalid_transform" else ""
                self.add(path, value, " ".join(error.what.split()) + fix)

    def condition(self, path: str, sql: str, rows: DataFrame) -> bool:
        """Whether SQL is true or false for a row; if not, adds a problem."""
        with self.at(path, sql, rows):
            kind = rows.select(over_row(rows, sql).alias("value")).schema["value"].dataType
            if isinstance(kind, BooleanType) or reads_unknown(sql, rows):
                return True
            self.add(path, sql, f"it is {kind.simpleString()}, and must be true or false")
        return False

    def pattern(self, path: str, pattern: str) -> None:
        """Adds a problem if Java cannot read a regular expression."""
        try:
            self.spark._jvm.java.util.regex.Pattern.compile(pattern)  # type: ignore[union-attr]
        except PySparkException as error:
            reason = str(error.getMessage() or error).partition("\n")[0]
            self.add(path, pattern, f"no regular expression of Java: {reason}")

    def all_there(self, path: str, names: Iterable[str], rows: DataFrame, *, owner: str) -> bool:
        """Whether rows have all columns, in any letter case; adds a problem for each other name."""
        known = {name.casefold() for name in rows.columns}
        missing = [name for name in names if name.casefold() not in known]
        for name in missing:
            self.missing(path, name, rows.columns, owner=owner)
        return not missing

    def missing(self, path: str, name: str, known: Sequence[str], *, owner: str) -> None:
        """Adds a problem: `owner` has no column of this name."""
        columns = visible(known)
        if not self._is_told(path, name, columns):
            self._misspelt.add(name)
            what = f"{owner} has no column {name}"
            self.add(path, None, what, listed(columns), nearest(name, columns))

    def _is_told(self, path: str, name: str, known: Sequence[str]) -> bool:
        """Whether a missing column is reported at this line, or follows from another mistake.

        Such as that a lookup takes a column of nearly this name, which its table does not have.
        """
        place = (self._origin(path), name)
        others = self._misspelt - {name}
        follows = nearest(name, others) and not nearest(name, set(known) - others)
        is_told = place in self._missing or bool(follows)
        self._missing.add(place)
        return is_told

    def add(
        self,
        path: str,
        value: str | None,
        what: str,
        allowed: str = "",
        meant: str | None = None,
        *,
        at: tuple[int, int] | None = None,
    ) -> None:
        """Adds a problem of the key at `path`."""
        path = path.replace("[", ".").replace("]", "")
        self.problems.append(Problem(self._origin(path), path, what, value, allowed, meant, at))

    def parse(self, path: str, sql: str) -> None:
        """Checks only that an expression is SQL, where its columns are not known."""
        with self.at(path, sql):
            self.parser.parseExpression(sql)

    @property
    def parser(self) -> Any:
        """Spark's own parser of SQL."""
        return self.spark._jsparkSession.sessionState().sqlParser()

    def in_order(self) -> list[Problem]:
        """The problems as they lie in the files; those of one line in the order they were found."""
        sources = list(dict.fromkeys(found.origin.source for found in self.problems))
        return sorted(
            self.problems,
            key=lambda found: (sources.index(found.origin.source), found.origin.line or 0),
        )

    @cached_property
    def _functions(self) -> Collection[str]:
        return [row[0] for row in self.spark.sql("SHOW FUNCTIONS").collect()]

    def _origin(self, path: str) -> Origin:
        """The file and line of a key; for a mapping or a list, those of its first value.

        If it is not written itself, those of what it is in.
        """
        if (own := self.origins.get(path)) and own.line:
            return own
        while path:
            inside = (o for key, o in self.origins.items() if f"{key}.".startswith(f"{path}."))
            if found := next((origin for origin in inside if origin.line), None):
                return found
            path = path.rpartition(".")[0]
        return own or Origin("config")


def visible(columns: Iterable[str]) -> list[str]:
    """Without hidden columns, which no user can name."""
    return [name for name in columns if not is_hidden(name)]


def reads_unknown(sql: str, rows: DataFrame | None) -> bool:
    """Whether SQL, or a list of names, names a column that could not be computed."""
    names = (f.name for f in (rows.schema if rows else ()) if isinstance(f.dataType, NullType))
    return any(re.search(rf"\b{re.escape(name)}\b", sql, re.I) for name in names)


def _types(rows: DataFrame | None, sql: str) -> str:
    """The types of the columns that SQL names."""
    named = [
        f"{field.name} is {field.dataType.simpleString()}"
        for field in (rows.schema.fields if rows else ())
        if not is_hidden(field.name) and re.search(rf"\b{re.escape(field.name)}\b", sql, re.I)
    ]
    return ", ".join(named)
