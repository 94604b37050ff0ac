"""Compares a bronze table and its quarantine with the ledger, file by file."""

from __future__ import annotations

import duckdb

from medallion_jobs.autoloader.loading import account
from medallion_jobs.checkpoint import QueryFolder, manifest
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.columns import FILE_VERSION, INPUT_FILE
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Snapshot, Txn, snapshot
from medallion_jobs.report import bad_lines
from medallion_jobs.report.lake_views import scan, views
from medallion_jobs.report.verify.check import Audit, Check, Mismatch

# For a file that was read again, since its content changed, the older rows are either all in the
# table or all replaced, by the source's `on_changed_file`. Bad records are those of the last
# reading, also if the file was gone or unreadable when it was to be read again.
_PER_FILE = """
    CREATE OR REPLACE TEMP TABLE audited AS
    WITH reported AS (
        SELECT path, version, generation, batch, coalesce(last_read.bad, 0) AS bad,
               CASE WHEN state IN ('COMMITTED', 'ARCHIVING', 'ARCHIVED') THEN rows ELSE 0 END
               AS rows
        FROM ledger LEFT JOIN last_read USING (path, version)
    ), newest AS (
        SELECT path, max(version) AS newest FROM reported WHERE rows IS NOT NULL GROUP BY path
    ), held AS (
        SELECT {file} AS path, {version} AS version, count(*) AS n FROM {bronze} GROUP BY ALL
    ), lines AS (
        SELECT file AS path, file_version AS version, count(*) AS n FROM {quarantine}
        JOIN reached USING (generation)
        WHERE NOT read_again AND (NOT is_current OR batch <= newest) GROUP BY ALL
    )
    SELECT path, version, t.generation, t.batch, coalesce(t.rows, 0) AS rows,
           coalesce(h.n, 0) AS held, coalesce(t.bad, 0) AS bad, coalesce(l.n, 0) AS lines,
           t.path IS NULL AS unknown,
           coalesce(h.n, 0) = 0 AND coalesce(n.newest > version, false) AS replaced
    FROM reported t FULL JOIN held h USING (path, version) FULL JOIN lines l USING (path, version)
    LEFT JOIN newest n USING (path)
    WHERE path NOT IN (SELECT path FROM unsettled)
"""
_UNFINISHED_BATCHES = """
    INSERT INTO unsettled SELECT DISTINCT path FROM ledger
    JOIN reached USING (generation) WHERE batch > newest
"""
_LAST_READ = """
    CREATE OR REPLACE TEMP TABLE last_read AS
    SELECT path, version, max_by(bad, updated_at) AS bad FROM {events}
    WHERE state IN ('COMMITTED', 'ARCHIVED') AND batch IS NOT NULL GROUP BY ALL
"""
# A batch is in bronze and quarantine, and the ledger does not have its events yet.
_UNREPORTED_LINES = """
    INSERT INTO unsettled SELECT DISTINCT file FROM {quarantine}
    WHERE generation = {generation} AND batch > {reported}
"""


def audit(duck: duckdb.DuckDBPyConnection, config: Pipeline, name: str, show: int) -> Audit:
    """Compares the rows of each file, and its quarantined lines, with the ledger's counts.

    Files of a batch in progress are left out.

    Args:
        show: the maximum number of files to list.

    Raises:
        UsageError: the table was never written.
    """
    ref = TableRef("bronze", name)
    paths = TablePaths(config, ref)
    table, recorded = snapshot(paths.data), manifest.read(QueryFolder.of(paths))
    if table is None or recorded is None or snapshot(paths.events) is None:
        raise UsageError(
            f"{ref} cannot be verified: it has never run",
            code="cannot_verify_never_ran",
            untouched="nothing was compared",
            next_step="`medallion run bronze`; then verify again",
        )
    newest = recorded.generations[-1].number
    unsettled = _prepare(duck, paths, table, newest)
    version = f"coalesce({FILE_VERSION}, 1)" if FILE_VERSION in table.columns else "1"
    duck.execute(
        _PER_FILE.format(
            file=INPUT_FILE,
            version=version,
            bronze=scan(paths.data, table.version),
            quarantine=bad_lines.with_readings(paths),
        )
    )
    remarks = (
        f"a batch is in progress, or was interrupted: {unsettled:,} of its files are not counted",
    )
    return Audit(
        table=f"{ref}",
        of=f"the ledger of {ref}, at version {table.version}",
        checks=(
            _check(duck, "rows of each file", ("rows", "held"), "NOT replaced", show),
            _check(duck, "bad lines of each file", ("bad", "lines"), "true", show),
        ),
        remarks=remarks if unsettled else (),
    )


def _prepare(
    duck: duckdb.DuckDBPyConnection, paths: TablePaths, table: Snapshot, newest: int
) -> int:
    """Creates the temporary tables to compare; returns how many files are left out."""
    query_folder = QueryFolder.of(paths)
    reached = {n: table.txn(query_folder.checkpoint(n).app_id) for n in range(1, newest + 1)}
    duck.execute(
        "CREATE OR REPLACE TEMP TABLE reached "
        "(generation INTEGER, newest BIGINT, is_current BOOLEAN)"
    )
    of_each = [[number, batch, number == newest] for number, batch in reached.items()]
    duck.executemany("INSERT INTO reached VALUES (?, ?, ?)", of_each)
    ledger = views(paths.config)["ledger", paths.ref.name]
    duck.execute(f"CREATE OR REPLACE TEMP TABLE ledger AS {ledger}")
    duck.execute("CREATE OR REPLACE TEMP TABLE unsettled (path VARCHAR)")
    duck.execute(_LAST_READ.format(events=scan(paths.events)))
    duck.execute(_UNFINISHED_BATCHES)
    app_id = query_folder.checkpoint(newest).app_id
    events = snapshot(paths.events)
    reported = events.txn(app_id) if events else -1
    if reported < reached[newest]:
        lines = bad_lines.with_readings(paths)
        duck.execute(
            _UNREPORTED_LINES.format(quarantine=lines, generation=newest, reported=reported)
        )
        last = Txn(app_id, reached[newest], "")
        for path, _ in account.loaded_by(table.path, last, INPUT_FILE, "count(*)"):
            duck.execute("INSERT INTO unsettled VALUES (?)", [path])
    counted = duck.execute("SELECT count(DISTINCT path) FROM unsettled").fetchone()
    return int(counted[0]) if counted else 0


def _check(
    duck: duckdb.DuckDBPyConnection, what: str, columns: tuple[str, str], among: str, show: int
) -> Check:
    expected, found = columns
    wrong = f"({among}) AND {expected} <> {found}"
    totals = duck.execute(
        f"SELECT coalesce(sum({expected}) FILTER (WHERE {among}), 0)::BIGINT, "  # noqa: S608
        f"coalesce(sum({found}), 0)::BIGINT, count(*) FILTER (WHERE {wrong}) FROM audited"
    ).fetchone()
    assert totals is not None  # an aggregate has one row
    named = duck.execute(
        f"SELECT path, version, generation, batch, unknown, {expected}, {found} FROM audited "  # noqa: S608
        f"WHERE {wrong} ORDER BY path, version LIMIT {show}"
    ).fetchall()
    return Check(
        what=what,
        expected=totals[0],
        found=totals[1],
        mismatches=tuple(Mismatch(_describe(*row[:5]), row[5], row[6]) for row in named),
        wrong=totals[2],
    )


def _describe(
    path: str, version: int, generation: int | None, batch: int | None, is_unknown: bool
) -> str:
    parts = [path]
    if version > 1:
        parts.append(f"content {version} of it")
    if batch is not None:
        parts.append(f"batch {batch} of v{generation}")
    if is_unknown:
        parts.append("not in the ledger")
    return ", ".join(parts)
