"""Rows held for a missing dimension key: retried when the dimension changes."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs import clock
from medallion_jobs.checkpoint import QueryFolder
from medallion_jobs.config import Lookup
from medallion_jobs.lake import tables
from medallion_jobs.observe.events import counted
from medallion_jobs.refine import batch_counts, lookup, outcome
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.batch_context import config_digest
from medallion_jobs.refine.quarantine import row_format
from medallion_jobs.refine.quarantine.redrive import Redrive
from medallion_jobs.storage import Location, put

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_MIN_INTERVAL = timedelta(minutes=1)


@dataclass(frozen=True)
class _Seen:
    """The last retry of the held rows.

    Attributes:
        versions: the dimension versions in which the keys of all held rows were looked up.
        at: when that was.
        oldest: since when the oldest of the held rows waits.
    """

    versions: Mapping[str, int]
    at: datetime
    oldest: datetime

    def next_due(self, patience: timedelta) -> datetime:
        """When the next row can reach its `hold_for`, at most once per `_MIN_INTERVAL`.

        Without that limit a row of a lookup with a longer `hold_for` would cause a retry at
        every poll.

        Args:
            patience: the shortest `hold_for` of the table's lookups.
        """
        return max(self.oldest + patience, self.at + min(patience, _MIN_INTERVAL))


@dataclass
class HeldRows:
    """Retries the held rows of one table.

    Attributes:
        write_lock: taken by whoever writes the table: a batch, or a retry of held rows.
    """

    refinery: Refinery
    write_lock: threading.Lock = field(default_factory=threading.Lock)
    _redrive: Redrive | None = None
    _spark: SparkSession | None = None
    _is_first: bool = True

    def begin(self, spark: SparkSession, generation: int) -> None:
        """Prepares for a generation; call it when the query starts."""
        query_folder = QueryFolder.of(self.refinery.paths)
        self._spark = spark
        self._redrive = Redrive(
            refinery=self.refinery,
            parked_rows=self.refinery.held,
            app_id=f"{query_folder.checkpoint(generation).app_id}/released",
            generation=generation,
            how="released",
            run_id=uuid.uuid4().hex[:12],
        )

    def poll(self) -> Sequence[str]:
        """Releases rows whose key has arrived, or whose `hold_for` is over.

        Does nothing while a batch is being written: the batch calls `release` afterwards.

        Returns:
            Remarks for the user; empty if no row was released.
        """
        if self._spark is None or not self.write_lock.acquire(blocking=False):
            return ()
        try:
            return self.release(self._spark)
        finally:
            self.write_lock.release()

    def release(self, spark: SparkSession) -> Sequence[str]:
        """As `poll`, for a caller that has `write_lock`.

        Args:
            spark: the session of the caller's thread.
        """
        if self._redrive is None or not (self._holding_lookups or self._is_first):
            return ()
        # If the config no longer has `on_miss: hold`, the held rows are sent once.
        self._is_first = False
        versions = self.refinery.versions()
        moment = clock.now()
        seen = self._last_seen()
        if seen and seen.versions == versions and moment < seen.next_due(self._patience):
            return ()
        held = self._redrive.open(spark)
        if held is None:
            return ()
        since = seen.versions if seen else {}
        candidates = self._candidates(spark, held, since, versions, moment)
        counts = self._redrive.send(spark, candidates).counts
        self._record(_Seen(versions, moment, _oldest(held) or moment))
        self._redrive.tidy(spark)
        sent = counts.get(outcome.GOOD, 0)
        return (f"{counted(sent, 'row')} that waited for a dimension went on",) if sent else ()

    @property
    def _holding_lookups(self) -> list[Lookup]:
        return [config for config in self.refinery.table.lookups if config.on_miss == "hold"]

    def _candidates(
        self,
        spark: SparkSession,
        held: DataFrame,
        since: Mapping[str, int],
        versions: Mapping[str, int],
        moment: datetime,
    ) -> DataFrame:
        """Held rows whose key has changed after the versions `since`, or whose time is over."""
        if self._is_chained or not self._holding_lookups:
            return held
        changed: list[DataFrame] = []
        for config in self._holding_lookups:
            name = str(config.table)
            keys = lookup.changed_keys(
                spark,
                config,
                self.refinery.path_of(config.table),
                since=since.get(name),
                to=versions[name],
            )
            if keys is None:
                return held
            changed.append(keys.select(F.lit(name).alias("lookup"), "key"))
        timed_out = held.where(F.col("since") <= F.lit(moment - self._patience)).select("id")
        keys = reduce(lambda left, right: left.unionByName(right), changed)
        waits = held.select("id", F.explode("waits_for").alias("for")).select("id", "for.*")
        arrived = waits.join(keys, ["lookup", "key"], "left_semi").select("id")
        return held.join(arrived.unionByName(timed_out).distinct(), "id", "left_semi")

    @property
    def _is_chained(self) -> bool:
        """Whether a lookup's key is computed from columns of another: unknown while that misses."""
        taken: set[str] = set()
        for config in self.refinery.table.lookups:
            names = re.findall(r"\w+", " ".join([*config.on.values(), config.as_of or ""]))
            if config.on_miss == "hold" and taken.intersection(names):
                return True
            taken.update(config.take)
        return False

    @property
    def _patience(self) -> timedelta:
        return min((config.hold_for for config in self._holding_lookups), default=timedelta(0))

    @property
    def _file(self) -> Location:
        return self.refinery.held.path / row_format.SEEN

    def _last_seen(self) -> _Seen | None:
        """The record of the last retry; None if it is missing or stale: all rows are retried."""
        if not self._file.exists():
            return None
        record = json.loads(self._file.read_text(encoding="utf-8"))
        if record["of"] != self._subject:
            return None
        at, oldest = (datetime.fromisoformat(record[key]) for key in ("at", "oldest"))
        return _Seen(record["versions"], at, oldest)

    @property
    def _subject(self) -> str:
        """The config and the dimension tables that a record is valid for."""
        ids = [
            table.id if (table := tables.snapshot(self.refinery.path_of(name))) else ""
            for name in self.refinery.table.dimensions
        ]
        return " ".join([config_digest(self.refinery.table), *ids])

    def _record(self, seen: _Seen) -> None:
        record = {
            "of": self._subject,
            "versions": dict(seen.versions),
            "at": seen.at.isoformat(),
            "oldest": seen.oldest.isoformat(),
        }
        put(self._file, json.dumps(record).encode())


def _oldest(held: DataFrame) -> datetime | None:
    (found,) = held.agg(F.unix_micros(F.min("since")).alias("oldest")).collect()
    return batch_counts.moment(found["oldest"])
