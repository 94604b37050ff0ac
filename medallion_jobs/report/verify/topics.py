"""Compares a bronze table and its quarantine with the offsets of the topics that it has read."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from medallion_jobs.checkpoint import QueryFolder, manifest
from medallion_jobs.checkpoint.manifest import Manifest
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.kafkaloader.offsets import end_of, identity_of, made_again, start_of
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Snapshot, snapshot
from medallion_jobs.report.lake_views import scan
from medallion_jobs.report.verify.check import Audit, Check, Mismatch

# A topic that was made again counts as another one, with another `life`.
_MESSAGES = """
    CREATE OR REPLACE TEMP TABLE messages AS
    WITH loaded AS (
        SELECT topic, "partition", "offset", {load_time} AS at, false AS bad FROM {bronze}
        UNION ALL
        SELECT topic, "partition", "offset", load_time, true FROM {quarantine}
    )
    SELECT loaded.*, (SELECT count(*) FROM lives WHERE lives.topic = loaded.topic
                      AND lives.since <= loaded.at) AS life
    FROM loaded
"""
_TWICE = """
    SELECT topic, "partition", "offset", count(*) AS n FROM messages
    GROUP BY topic, life, "partition", "offset" HAVING n > 1
"""
# For the topic of now only: nobody has the offsets of one that is gone.
_ENDS = """
    SELECT topic, "partition", start, "end", min("offset") AS low, max("offset") AS high
    FROM reached LEFT JOIN (
        SELECT * FROM messages WHERE life = (
            SELECT count(*) FROM lives WHERE lives.topic = messages.topic
        )
    ) USING (topic, "partition") GROUP BY ALL ORDER BY ALL
"""
_READ = """
    SELECT count(*), sum(rows_in - coalesce(repeated, 0))::BIGINT,
           count(*) FILTER (WHERE rows_in IS NULL)
    FROM {metrics} JOIN done USING (generation) WHERE batch <= newest
"""


def audit(duck: duckdb.DuckDBPyConnection, config: Pipeline, name: str, show: int) -> Audit:
    """Checks that each message is there once, and that they are those of the checkpoint's offsets.

    Offsets without a message are right: transactions and compaction leave them.

    Args:
        show: the maximum number of messages to list.

    Raises:
        UsageError: the table was never written.
    """
    ref = TableRef("bronze", name)
    paths = TablePaths(config, ref)
    table, recorded = snapshot(paths.data), manifest.read(QueryFolder.of(paths))
    quarantine = snapshot(paths.quarantine)
    if table is None or recorded is None or quarantine is None:
        raise UsageError(
            f"{ref} cannot be verified: it has never run",
            code="cannot_verify_never_ran",
            untouched="nothing was compared",
            next_step="`medallion run bronze`; then verify again",
        )
    former = _prepare(duck, paths, recorded, table)
    source = config.kafka_sources[name]
    duck.execute(
        _MESSAGES.format(
            load_time=source.load_time_column,
            bronze=scan(paths.data, table.version),
            quarantine=scan(paths.quarantine, quarantine.version),
        )
    )
    read, remarks = _read(duck, paths)
    ends, gaps = _ends(duck, former, show)
    return Audit(
        table=str(ref),
        of=f"the offsets of {source.subscription}, at version {table.version}",
        checks=(*read, _once(duck, show), ends),
        remarks=(*remarks, *gaps),
    )


def _prepare(
    duck: duckdb.DuckDBPyConnection, paths: TablePaths, recorded: Manifest, table: Snapshot
) -> list[str]:
    """Creates the temporary tables to compare with.

    Returns:
        The topics that the query has read and reads no more.
    """
    query_folder = QueryFolder.of(paths)
    duck.execute("CREATE OR REPLACE TEMP TABLE lives (topic VARCHAR, since TIMESTAMPTZ)")
    lives = made_again(recorded, {})
    for topic, times in lives.items():
        duck.executemany("INSERT INTO lives VALUES (?, ?)", [[topic, since] for since in times])
    duck.execute("CREATE OR REPLACE TEMP TABLE done (generation INTEGER, newest BIGINT)")
    of_each = [
        [generation.number, table.txn(query_folder.checkpoint(generation.number).app_id)]
        for generation in recorded.generations
    ]
    duck.executemany("INSERT INTO done VALUES (?, ?)", of_each)
    duck.execute(
        "CREATE OR REPLACE TEMP TABLE reached "
        '(topic VARCHAR, "partition" INTEGER, start BIGINT, "end" BIGINT)'
    )
    known = _topics(recorded)
    rows = [[*key, *ends] for key, ends in _reached(query_folder, recorded, known).items()]
    if rows:
        duck.executemany("INSERT INTO reached VALUES (?, ?, ?, ?)", rows)
    return sorted(known.keys() - {topic for topic, *_ in rows})


def _topics(recorded: Manifest) -> dict[str, str]:
    """The newest ids of all topics that the query has read."""
    now: dict[str, str] = {}
    for generation in recorded.generations:
        bound = identity_of(generation.binding) if generation.binding else None
        now |= bound["topics"] if bound else {}
    return now


def _reached(
    query_folder: QueryFolder, recorded: Manifest, now: dict[str, str]
) -> dict[tuple[str, int], list[int]]:
    """By topic and partition, the lowest start and the highest end of all generations."""
    found: dict[tuple[str, int], list[int]] = {}
    for generation in recorded.generations:
        bound = identity_of(generation.binding) if generation.binding else None
        checkpoint = query_folder.checkpoint(generation.number)
        start = start_of(checkpoint, 0)
        for topic, of_topic in end_of(checkpoint, checkpoint.latest_offsets).items():
            if bound is None or bound["topics"].get(topic) != now.get(topic):
                continue
            for partition, end in of_topic.items():
                first = start.get(topic, {}).get(partition, 0)
                known = found.setdefault((topic, partition), [first, end])
                known[:] = [min(known[0], first), max(known[1], end)]
    return found


def _read(duck: duckdb.DuckDBPyConnection, paths: TablePaths) -> tuple[list[Check], list[str]]:
    """Compares what the batches say that they have read with what there is."""
    rows, bad = _one(duck, "SELECT count(*) FILTER (NOT bad), count(*) FILTER (bad) FROM messages")
    batches, *_ = _one(duck, "SELECT coalesce(sum(newest + 1), 0)::BIGINT FROM done")
    if snapshot(paths.metrics) is None:
        return [], ["no batch has metrics, so the number of messages was not compared"]
    counted, read, unknown = _one(duck, _READ.format(metrics=scan(paths.metrics)))
    if counted != batches or unknown:
        lacking = batches - counted + unknown
        return [], [f"{lacking:,} batches have no metrics, so messages were not counted"]
    parts = {"rows": rows, "quarantined": bad}
    return [Check("messages read", read or 0, rows + bad, parts=parts)], []


def _once(duck: duckdb.DuckDBPyConnection, show: int) -> Check:
    all_of_them, *_ = _one(duck, "SELECT count(*) FROM messages")
    twice, more = _one(
        duck,
        f"SELECT count(*), coalesce(sum(n - 1), 0)::BIGINT FROM ({_TWICE})",  # noqa: S608
    )
    named = duck.execute(f"{_TWICE} ORDER BY ALL LIMIT {show}").fetchall()
    return Check(
        "messages, each once",
        all_of_them - more,
        all_of_them,
        mismatches=tuple(
            Mismatch(f"topic {topic}, partition {partition}, offset {offset}", 1, n)
            for topic, partition, offset, n in named
        ),
        wrong=twice,
    )


def _ends(duck: duckdb.DuckDBPyConnection, former: list[str], show: int) -> tuple[Check, list[str]]:
    """Compares the first and the last message of each partition with the checkpoint's offsets.

    Args:
        former: topics whose offsets the checkpoint has no more.
    """
    wrong, gaps, partitions = list[Mismatch](), list[str](), 0
    for topic, partition, start, end, low, high in duck.execute(_ENDS).fetchall():
        partitions += 1
        where = f"topic {topic}, partition {partition}"
        if low is not None and low < start:
            wrong.append(Mismatch(f"{where}: first offset", start, low))
        if high is not None and high >= end:
            wrong.append(Mismatch(f"{where}: offset after the last one", end, high + 1))
        last = start if high is None else high + 1
        if last < end:
            gaps.append(f"{where}: no message at the {end - last:,} offsets before {end:,}")
    gaps += [f"topic {name} is read no more: its offsets were not compared" for name in former]
    unplanned = duck.execute(
        'SELECT topic, "partition", max("offset") + 1 FROM messages ANTI JOIN reached '
        'USING (topic, "partition") WHERE life = (SELECT count(*) FROM lives '
        "WHERE lives.topic = messages.topic) AND NOT list_contains(?, topic) "
        "GROUP BY ALL ORDER BY ALL",
        [former],
    ).fetchall()
    wrong += [
        Mismatch(f"topic {t}, partition {p}: no checkpoint", 0, end) for t, p, end in unplanned
    ]
    total = partitions + len(unplanned)
    found = total - len({mismatch.where.partition(":")[0] for mismatch in wrong})
    check = Check(
        "partitions within the checkpoint's offsets",
        total,
        found,
        mismatches=tuple(wrong[:show]),
        wrong=len(wrong),
    )
    return check, [*_short(gaps, show)]


def _short(lines: list[str], show: int) -> Iterator[str]:
    yield from lines[:show]
    if len(lines) > show:
        yield f"and {len(lines) - show:,} more partitions with such gaps"


def _one(duck: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, ...]:
    found = duck.execute(sql).fetchone()
    assert found is not None  # an aggregate has one row
    return found
