"""What the rules of tables have said, by table and rule."""

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
# Of the newest generation alone: after a reset the table is made anew, and its rows are judged
# once more.
_SQL = """
    WITH told AS (
        SELECT *, max(generation) OVER (PARTITION BY table_name) AS newest,
               max(batch) OVER (PARTITION BY table_name, generation) AS last_batch
        FROM ({said}) WHERE list_contains(?, table_name)
    )
    SELECT table_name, rule, arg_max(predicate, batch), arg_max(action, batch), count(*),
           sum(rows)::BIGINT, sum(broken)::BIGINT, sum(broken) / nullif(sum(rows), 0),
           max(broken) FILTER (WHERE batch = last_batch), max("at") FILTER (WHERE broken > 0)
    FROM told WHERE generation = newest AND "at" >= ? GROUP BY table_name, rule ORDER BY rule
"""
_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def quality(
    config: Pipeline, table: str | None = None, since: datetime | None = None
) -> list[tuple[object, ...]]:
    """One row a table and rule, `COLUMNS`, as the config has them; then rules that are gone.

    A rule that has judged nothing yet has no numbers; one that the config no longer has is
    told as long as it judged rows of the table as it is.

    Args:
        table: as `silver.NAME`; None stands for every table that has rules.
        since: batches that were written then or later.

    Raises:
        UsageError: the pipeline has no such table, or it has no rules.
    """
    declared = _declared(config, table)
    said = _said(config, list(declared), since)
    listed: list[tuple[object, ...]] = []
    for name, rules in declared.items():
        for rule, action in rules.items():
            none = (name, rule, None, action, 0, 0, 0, None, None, None)
            listed.append(said.pop((name, rule), none))
        listed += [row for (of, _), row in said.items() if of == name]
    return listed


def _declared(config: Pipeline, table: str | None) -> dict[str, dict[str, str]]:
    """By table and rule, the action."""
    declared = {
        str(TableRef("silver", name)): {rule: str(one.otherwise) for rule, one in rules.items()}
        for name, rules in ((name, table.expect) for name, table in config.silver.items())
        if rules
    }
    if table is None:
        return declared
    if table not in declared:
        raise UsageError(
            f"{table} is no table with rules",
            next_step=f"tables that have them: {', '.join(declared) or 'none'}",
        )
    return {table: declared[table]}


def _said(
    config: Pipeline, tables: list[str], since: datetime | None
) -> dict[tuple[object, object], Row]:
    log = views(config).get(("metrics", "quality"))
    if log is None or not tables:
        return {}
    with connect(paths.lake(config)) as duck:
        answer = duck.execute(_SQL.format(said=log), [tables, since or _LONG_AGO])
        return {(row[0], row[1]): row for row in rows_of(answer)}
