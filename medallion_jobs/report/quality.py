"""The results of expectations, by table and rule."""

from __future__ import annotations

from datetime import datetime

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import paths
from medallion_jobs.report.lake_views import Row, connect, rows_of, views

COLUMNS = (
    "table_name",
    "rule",
    "predicate",
    "action",
    "batches",
    "rows",
    "broken",
    "share",
    "broken_in_last_batch",
    "last_broken_at",
)
# Only the newest generation counts: after a reset the table is rebuilt, and its rows are checked
# again.
_SQL = """
    WITH results AS (
        SELECT *, max(generation) OVER (PARTITION BY table_name) AS newest,
               max(batch) OVER (PARTITION BY table_name, generation) AS last_batch
        FROM ({log}) WHERE list_contains(?, table_name)
    )
    SELECT table_name, rule, arg_max(predicate, batch), arg_max(action, batch), count(*),
           sum(rows)::BIGINT, sum(broken)::BIGINT, sum(broken) / nullif(sum(rows), 0),
           max(broken) FILTER (WHERE batch = last_batch), max("at") FILTER (WHERE broken > 0)
    FROM results WHERE generation = newest AND "at" >= ? GROUP BY table_name, rule ORDER BY rule
"""
_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def quality(
    config: Pipeline, table: str | None = None, since: datetime | None = None
) -> list[tuple[object, ...]]:
    """One row per table and rule, with `COLUMNS`: rules of the config, then removed ones.

    A rule that has checked no rows yet has zeros. A rule that was removed from the config is
    listed as long as it checked rows of the current generation.

    Args:
        table: as `silver.NAME`; None selects every table that has rules.
        since: only batches written at this time or later.

    Raises:
        UsageError: the pipeline has no such table, or it has no rules.
    """
    declared = _declared(config, table)
    results = _results(config, list(declared), since)
    listed: list[tuple[object, ...]] = []
    for name, rules in declared.items():
        for rule, action in rules.items():
            no_result = (name, rule, None, action, 0, 0, 0, None, None, None)
            listed.append(results.pop((name, rule), no_result))
        listed += [row for (owner, _), row in results.items() if owner == name]
    return listed


def _declared(config: Pipeline, table: str | None) -> dict[str, dict[str, str]]:
    """The action of each rule, by table and rule name."""
    declared = {
        str(TableRef("silver", table_name)): {
            name: str(rule.otherwise) for name, rule in rules.items()
        }
        for table_name, rules in ((name, silver.expect) for name, silver in config.silver.items())
        if rules
    }
    if table is None:
        return declared
    if table not in declared:
        raise UsageError(
            f"{table} is not a table with rules",
            code="no_rules",
            next_step=f"tables with rules: {', '.join(declared) or 'none'}",
        )
    return {table: declared[table]}


def _results(
    config: Pipeline, tables: list[str], since: datetime | None
) -> dict[tuple[object, object], Row]:
    log = views(config).get(("metrics", "quality"))
    if log is None or not tables:
        return {}
    with connect(paths.lake(config)) as duck:
        answer = duck.execute(_SQL.format(log=log), [tables, since or _LONG_AGO])
        return {(row[0], row[1]): row for row in rows_of(answer)}
