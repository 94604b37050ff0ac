"""Pairs of versions: a gold table's newest, and the version of its source that it has read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medallion_jobs.aggregate import Aggregation
from medallion_jobs.checkpoint import Binding, Checkpoint, Logic, QueryFolder, lock, manifest
from medallion_jobs.checkpoint.offsets import Offset
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import MedallionError, TransientError, UsageError, rebuild_command
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Snapshot, snapshot
from medallion_jobs.report.verify.gold import Comparison
from medallion_jobs.report.verify.gold import compare as compare_rows
from medallion_jobs.report.verify.versions import missing_files
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_RUN = "`medallion run gold`; then verify again"


@dataclass(frozen=True)
class Pair:
    """A version of a gold table, and the version of its source that it has read.

    Attributes:
        batch: the newest batch that is in the gold table, or changed nothing in it; -1 before
            the first batch.
    """

    table: TableRef
    path: Location
    version: int
    source: TableRef
    source_path: Location
    source_version: int
    batch: int


def pair_of(config: Pipeline, ref: TableRef, logic: Logic) -> Pair:
    """The gold table's newest version, and the version of its source that it has read.

    Args:
        logic: the logic of the table's query according to the config.

    Raises:
        UsageError: the versions cannot be determined, or can no longer be read.
        TransientError: a run has read a version of the source in part.
    """
    query_folder = QueryFolder.of(TablePaths(config, ref))
    recorded = manifest.read(query_folder)
    if recorded is None:
        raise _cannot(ref, "it has never run")
    binding, number = recorded.current.binding, recorded.current.number
    if binding is None:
        raise _cannot(ref, "it was reset, and has not run since")
    _check_logic(ref, binding, logic)
    checkpoint = query_folder.checkpoint(number)
    # Read before the table: a batch that is committed by now is in the table, or changed nothing.
    committed = checkpoint.latest_commits
    gold = _same_table(config, ref, ref, binding.target_id)
    if (current := manifest.read(query_folder)) is None or current.current.number != number:
        raise TransientError(
            f"{ref} was reset just now", code="reset_just_now", next_step="verify again"
        )
    # The table is ahead of the checkpoint while a run is, or was interrupted, between the two.
    batch = max(committed, gold.txn(checkpoint.app_id))
    source_ref = config.gold[ref.name].from_
    source = _same_table(config, ref, source_ref, binding.source_id)
    version = _source_version(config, query_folder, checkpoint, batch, source)
    if version > source.version:
        raise _cannot(
            ref, f"it has read version {version} of {source_ref}, which is at {source.version}"
        )
    if missing := missing_files(source.path, version):
        raise _cannot(ref, f"it has read version {version} of {source_ref}, but {missing}")
    if missing := missing_files(gold.path, gold.version):
        raise _cannot(ref, missing, next_step=f"`{rebuild_command(ref)} --yes`")
    return Pair(ref, gold.path, gold.version, source_ref, source.path, version, batch)


def compare(spark: SparkSession, pair: Pair, aggregation: Aggregation, show: int) -> Comparison:
    """Compares the two versions in one Spark job.

    Raises:
        UsageError: the gold table has other columns than the config declares.
    """
    gold = _at(spark, pair.path, pair.version)
    source = _at(spark, pair.source_path, pair.source_version)
    return compare_rows(str(pair.table), gold, source, aggregation, show)


def _at(spark: SparkSession, path: Location, version: int) -> DataFrame:
    return spark.read.format("delta").option("versionAsOf", version).load(str(path))


def _check_logic(ref: TableRef, binding: Binding, logic: Logic) -> None:
    old, new = binding.logic.state, logic.state
    changed = sorted(part for part in {*old, *new} if old.get(part) != new.get(part))
    if changed:
        changes = "; ".join(f"{p}: {old.get(p, '')!r} became {new.get(p, '')!r}" for p in changed)
        raise _cannot(ref, f"the config has changed since it ran: {changes}")


def _same_table(config: Pipeline, ref: TableRef, table: TableRef, table_id: str) -> Snapshot:
    """A table that the query of `ref` reads or writes; refused if it is another table by now."""
    found = snapshot(TablePaths(config, table).data)
    if found is None or found.id != table_id:
        problem = "does not exist any more" if found is None else "was replaced by another table"
        raise _cannot(ref, f"{table} {problem}", next_step=f"`{rebuild_command(ref)} --yes`")
    return found


def _source_version(
    config: Pipeline,
    query_folder: QueryFolder,
    checkpoint: Checkpoint,
    batch: int,
    source: Snapshot,
) -> int:
    ref = query_folder.ref
    if batch < 0:
        if source.rows:
            raise _cannot(ref, "its first batch is not written yet")
        return source.version
    try:
        reached = Offset.after(checkpoint, batch)
    except FileNotFoundError:
        raise _cannot(ref, f"its checkpoint has no batch {batch}") from None
    assert reached is not None  # there is a batch
    if reached.whole is not None:
        return reached.whole
    if config.gold[ref.name].mode == "incremental":
        # Incremental mode reads the whole snapshot in its first batch.
        return reached.version
    if lock.is_running(query_folder.lock):
        raise TransientError(
            f"{ref} has read version {reached.version} of its source only in part",
            code="source_read_in_part",
            next_step="verify again after its next batches",
        )
    raise _cannot(ref, "it stopped after reading a version of its source only in part")


def _cannot(ref: TableRef, reason: str, next_step: str = _RUN) -> MedallionError:
    return UsageError(
        f"{ref} cannot be verified: {reason}",
        code="cannot_verify",
        untouched="nothing was compared",
        next_step=next_step,
    )
