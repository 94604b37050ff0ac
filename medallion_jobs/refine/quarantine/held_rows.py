"""Rows that wait for a key of a dimension: looked at when the dimension has changed."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.checkpoint import QueryFolder
from medallion_jobs.config import Lookup
from medallion_jobs.lake import tables
from medallion_jobs.refine import batch_counts, lookup, outcome
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.batch_context import config_digest
from medallion_jobs.refine.quarantine import row_format
from medallion_jobs.refine.quarantine.redrive import Redrive
from medallion_jobs.storage import Location, put

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_AT_MOST_EACH = timedelta(minutes=1)


@dataclass(frozen=True)
class _Seen:
    """The last look at the waiting rows.

    Attributes:
        versions: of each dimension; the keys of all waiting rows were looked for up to it.
        at: when.
        oldest: since when the first of them waits.
    """

    versions: Mapping[str, int]
    at: datetime
    oldest: datetime

    def next_due(self, patience: timedelta) -> datetime:
        """When a row will have waited long enough; rows to come wait from then on at least.

        Rows of a lookup with more patience must not have all of them looked at all the time.
        """
        return max(self.oldest + patience, self.at + min(patience, _AT_MOST_EACH))


@dataclass
class WaitingRows:
    """The rows of one table that wait, and their way on.

    Attributes:
        apart: held by whoever writes the table: a batch, or rows that waited.
    """

    refinery: Refinery
    apart: threading.Lock = field(default_factory=threading.Lock)
    _redrive: Redrive | None = None
    _spark: SparkSession | None = None
    _is_first: bool = True

    def begin(self, spark: SparkSession, generation: int) -> None:
        """To be called when the query starts."""
        home = QueryFolder.of(self.refinery.config.state_path, self.refinery.ref)
        self._spark = spark
        self._redrive = Redrive(
            refinery=self.refinery,
            parked_rows=self.refinery.held,
            app_id=f"{home.checkpoint(generation).app_id}/released",
            generation=generation,
            how="released",
            run_id=uuid.uuid4().hex[:12],
        )

    def call(self) -> Sequence[str]:
        """Lets rows go on whose key has come, or that have waited long enough.

        While a batch is under way nothing is done: the batch itself looks when it is written.

        Returns:
            What a person should know of it.
        """
        if self._spark is None or not self.apart.acquire(blocking=False):
            return ()
        try:
            return self.called(self._spark)
        finally:
            self.apart.release()

    def called(self, spark: SparkSession) -> Sequence[str]:
        """As `call`, for one who holds `apart`, on the session of that one's own thread."""
        if self._redrive is None or not (self._holding or self._is_first):
            return ()
        # Where the config lets no row wait any more, those that do are sent once.
        self._is_first = False
        versions = self.refinery.versions()
        moment = datetime.now(timezone.utc)
        seen = self._seen()
        if seen and seen.versions == versions and moment < seen.next_due(self._patience):
            return ()
        waiting = self._redrive.open(spark)
        if waiting is None:
            return ()
        known = seen.versions if seen else {}
        candidates = self._candidates(spark, waiting, known, versions, moment)
        counts = self._redrive.send(spark, candidates)
        self._note(_Seen(versions, moment, _oldest(waiting) or moment))
        self._redrive.tidy(spark)
        sent = counts.get(outcome.GOOD, 0)
        return (f"{sent:,} rows that waited for a dimension went on",) if sent else ()

    @property
    def _holding(self) -> list[Lookup]:
        return [one for one in self.refinery.table.lookups if one.on_miss == "hold"]

    def _candidates(
        self,
        spark: SparkSession,
        waiting: DataFrame,
        seen: Mapping[str, int],
        versions: Mapping[str, int],
        moment: datetime,
    ) -> DataFrame:
        """Waiting rows with a changed key, or whose time is over."""
        if self._is_chained or not self._holding:
            return waiting
        changed: list[DataFrame] = []
        for one in self._holding:
            name = str(one.table)
            keys = lookup.changed_keys(
                spark,
                one,
                self.refinery.config.table_path(one.table),
                since=seen.get(name),
                to=versions[name],
            )
            if keys is None:
                return waiting
            changed.append(keys.select(F.lit(name).alias("lookup"), "key"))
        over = waiting.where(F.col("since") <= F.lit(moment - self._patience)).select("id")
        keys = reduce(lambda one, other: one.unionByName(other), changed)
        waits = waiting.select("id", F.explode("waits_for").alias("for")).select("id", "for.*")
        came = waits.join(keys, ["lookup", "key"], "left_semi").select("id")
        return waiting.join(came.unionByName(over).distinct(), "id", "left_semi")

    @property
    def _is_chained(self) -> bool:
        """Whether a lookup's key is made of what another one takes: it is not known before."""
        taken: set[str] = set()
        for one in self.refinery.table.lookups:
            words = re.findall(r"\w+", " ".join([*one.on.values(), one.as_of or ""]))
            if one.on_miss == "hold" and taken.intersection(words):
                return True
            taken.update(one.take)
        return False

    @property
    def _patience(self) -> timedelta:
        return min((one.hold_for for one in self._holding), default=timedelta(0))

    @property
    def _file(self) -> Location:
        return self.refinery.held.path / row_format.SEEN

    def _seen(self) -> _Seen | None:
        """What was noted when the rows were looked at last; lost, all are tried once more."""
        if not self._file.exists():
            return None
        told = json.loads(self._file.read_text(encoding="utf-8"))
        if told["of"] != self._of:
            return None
        at, oldest = (datetime.fromisoformat(told[key]) for key in ("at", "oldest"))
        return _Seen(told["versions"], at, oldest)

    @property
    def _of(self) -> str:
        """What the note is about: under another config, or of another table, it tells nothing."""
        ids = [
            there.id if (there := tables.snapshot(self.refinery.config.table_path(name))) else ""
            for name in self.refinery.table.dimensions
        ]
        return " ".join([config_digest(self.refinery.table), *ids])

    def _note(self, seen: _Seen) -> None:
        told = {
            "of": self._of,
            "versions": dict(seen.versions),
            "at": seen.at.isoformat(),
            "oldest": seen.oldest.isoformat(),
        }
        put(self._file, json.dumps(told).encode())


def _oldest(waiting: DataFrame) -> datetime | None:
    (found,) = waiting.agg(F.unix_micros(F.min("since")).alias("oldest")).collect()
    return batch_counts.moment(found["oldest"])
