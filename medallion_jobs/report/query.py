"""SQL over all tables of a lake."""

from __future__ import annotations

import duckdb

from medallion_jobs.config import Pipeline
from medallion_jobs.errors import UsageError
from medallion_jobs.report.duck import connect, create, rows_of, views


def run(config: Pipeline, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
    """Column names and rows of a query.

    Raises:
        UsageError: the query is wrong; DuckDB's words tell how.
    """
    known = views(config)
    named = {key: query for key, query in known.items() if key[1].casefold() in sql.casefold()}
    with connect() as duck:
        try:
            create(duck, named)
            answer = duck.sql(sql)
            if answer is None:
                raise UsageError(
                    "that is no query: it gives no rows",
                    untouched="the tables; they can be read here, not changed",
                )
            return list(answer.columns), rows_of(answer)
        except duckdb.Error as error:
            there = ", ".join(f"{schema}.{view}" for schema, view in known)
            raise UsageError(
                f"the query failed: {error}", next_step=f"tables there are: {there or 'none'}"
            ) from error
