"""Which version of a gold table stands for which version of what it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medallion_jobs.aggregate import Aggregation
from medallion_jobs.checkpoint import Binding, Checkpoint, Logic, QueryFolder, lock, manifest
from medallion_jobs.checkpoint.offsets import Offset
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import MedallionError, TransientError, UsageError
from medallion_jobs.lake.tables import Snapshot, snapshot
from medallion_jobs.report.verify.gold import Comparison
from medallion_jobs.report.verify.gold import compare as compare_rows
from medallion_jobs.report.verify.versions import lost
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_RUN = "`medallion run gold`; then verify again"
_RESET = 'medallion checkpoint reset {} --reason "…" --yes'


@dataclass(frozen=True)
class Pair:
    """Two versions that belong together.

    Attributes:
        batch: the newest batch that is in the gold table, or changed nothing in it; -1 where
            there was nothing to read yet.
    """

    table: TableRef
    path: Location
    version: int
    source: TableRef
    source_path: Location
    source_version: int
    batch: int


def pair_of(config: Pipeline, ref: TableRef, logic: Logic) -> Pair:
    """The gold table's newest version, and the version of its source that it stands for.

    Args:
        logic: what the config has the table's query compute.

    Raises:
        UsageError: it cannot be told, or can no longer be read.
        TransientError: a run is in the midst of it.
    """
    home = QueryFolder.of(config.state_path, ref)
    recorded = manifest.read(home)
    if recorded is None:
        raise _cannot(ref, "it has never run")
    binding, number = recorded.current.binding, recorded.current.number
    if binding is None:
        raise _cannot(ref, "it was reset, and has not run since")
    _check_logic(ref, binding, logic)
    checkpoint = home.checkpoint(number)
    # Before the table is looked at: what is noted as done is in it then, or changed nothing.
    done = checkpoint.latest_commits
    there = _bound(config, ref, ref, binding.target_id)
    if (again := manifest.read(home)) is None or again.current.number != number:
        raise TransientError(f"{ref} was reset just now", next_step="verify again")
    # The table is ahead of the notes where a run was cut off, or is, between the two.
    batch = max(done, there.txn(checkpoint.app_id))
    source = config.gold[ref.name].from_
    read = _bound(config, ref, source, binding.source_id)
    version = _source_version(config, home, checkpoint, batch, read)
    if version > read.version:
        raise _cannot(ref, f"it has read version {version} of {source}, which is at {read.version}")
    if gone := lost(read.path, version):
        raise _cannot(ref, f"it stands for version {version} of {source}, and {gone}")
    if gone := lost(there.path, there.version):
        raise _cannot(ref, f"of it, {gone}", next_step=f"`{_RESET.format(ref)}`")
    return Pair(ref, there.path, there.version, source, read.path, version, batch)


def compare(spark: SparkSession, pair: Pair, aggregation: Aggregation, show: int) -> Comparison:
    """The gold table at its version beside its source at its own, in one job.

    Raises:
        UsageError: the table has other columns than the config declares.
    """
    gold = _at(spark, pair.path, pair.version)
    source = _at(spark, pair.source_path, pair.source_version)
    return compare_rows(str(pair.table), gold, source, aggregation, show)


def _at(spark: SparkSession, path: Location, version: int) -> DataFrame:
    return spark.read.format("delta").option("versionAsOf", version).load(str(path))


def _check_logic(ref: TableRef, binding: Binding, logic: Logic) -> None:
    was, is_now = binding.logic.state, logic.state
    changed = sorted(part for part in {*was, *is_now} if was.get(part) != is_now.get(part))
    if changed:
        told = "; ".join(f"{p}: {was.get(p, '')!r} became {is_now.get(p, '')!r}" for p in changed)
        raise _cannot(ref, f"the config has changed since it ran: {told}")


def _bound(config: Pipeline, ref: TableRef, table: TableRef, wanted: str) -> Snapshot:
    """A table that the query of `ref` reads or writes, if it is still that one."""
    there = snapshot(config.table_path(table))
    if there is None or there.id != wanted:
        what = "is gone" if there is None else "is another table than it was"
        raise _cannot(ref, f"{table} {what}", next_step=f"`{_RESET.format(ref)}`")
    return there


def _source_version(
    config: Pipeline, home: QueryFolder, checkpoint: Checkpoint, batch: int, source: Snapshot
) -> int:
    ref = home.ref
    if batch < 0:
        if source.rows:
            raise _cannot(ref, "its first batch is not written yet")
        return source.version
    try:
        reached = Offset.after(checkpoint, batch)
    except FileNotFoundError:
        raise _cannot(ref, f"its checkpoint knows nothing of batch {batch}") from None
    assert reached is not None  # there is a batch
    if reached.whole is not None:
        return reached.whole
    if config.gold[ref.name].mode == "incremental":
        # Its first batch takes the snapshot as a whole, however many batches read it.
        return reached.version
    words = f"{ref} is in the midst of version {reached.version} of what it reads"
    if lock.is_running(home.lock):
        raise TransientError(words, next_step="verify again when its run has got further")
    raise _cannot(ref, "it stopped in the midst of a version of what it reads")


def _cannot(ref: TableRef, why: str, next_step: str = _RUN) -> MedallionError:
    return UsageError(
        f"{ref} cannot be verified: {why}", untouched="nothing was compared", next_step=next_step
    )
