"""Rows that wait for a key of a dimension: looked at when the dimension has changed."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)

from medallion_jobs import lookup
from medallion_jobs.checkpoint import Home
from medallion_jobs.checkpoint.home import write_atomically
from medallion_jobs.config import Lookup
from medallion_jobs.refinery import fate
from medallion_jobs.refinery.batch import Refinery
from medallion_jobs.refinery.redrive import Redrive

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


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
    _next_due: datetime | None = None

    def begin(self, spark: SparkSession, generation: int) -> None:
        """To be called when the query starts."""
        home = Home.of(self.refinery.config.state_path, self.refinery.ref)
        self._spark = spark
        self._next_due = None
        self._redrive = Redrive(
            refinery=self.refinery,
            siding=self.refinery.held,
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
        if not self._holding or not self.apart.acquire(blocking=False):
            return ()
        try:
            return self.called()
        finally:
            self.apart.release()

    def called(self) -> Sequence[str]:
        """As `call`, for one who holds `apart`."""
        if not self._holding or self._redrive is None or self._spark is None:
            return ()
        versions = self.refinery.facts(self._spark).versions
        moment = datetime.now(timezone.utc)
        seen = self._seen()
        is_due = self._next_due is None or moment >= self._next_due
        if seen == versions and not is_due:
            return ()
        waiting = self._redrive.open(self._spark)
        if waiting is None or waiting.isEmpty():
            return ()
        candidates = self._candidates(waiting, seen, versions, moment)
        counts = self._redrive.send(self._spark, candidates)
        self._note(versions)
        self._redrive.tidy(self._spark)
        self._next_due = self._expiry(waiting, moment)
        sent = counts.get(fate.GOOD, 0)
        return (f"{sent:,} rows that waited for a dimension went on",) if sent else ()

    @property
    def _holding(self) -> list[Lookup]:
        return [one for one in self.refinery.table.lookups if one.on_miss == "hold"]

    def _candidates(
        self,
        waiting: DataFrame,
        seen: Mapping[str, int],
        versions: Mapping[str, int],
        moment: datetime,
    ) -> DataFrame:
        """Waiting rows with a changed key, or whose time is over."""
        assert self._spark is not None  # noqa: S101 (`begin` was called)
        changed: list[DataFrame] = []
        for one in self._holding:
            name = str(one.table)
            keys = lookup.changed_keys(
                self._spark,
                one,
                self.refinery.config.table_path(one.table),
                since=seen.get(name),
                to=versions[name],
            )
            if keys is None:
                return waiting
            changed.append(keys.select(F.lit(name).alias("lookup"), "key"))
        patience = min(one.hold_for for one in self._holding)
        over = waiting.where(F.col("since") <= F.lit(moment - patience)).select("id")
        keys = reduce(lambda one, other: one.unionByName(other), changed)
        waits = waiting.select("id", F.explode("waits_for").alias("for")).select("id", "for.*")
        came = waits.join(keys, ["lookup", "key"], "left_semi").select("id")
        return waiting.join(came.unionByName(over).distinct(), "id", "left_semi")

    def _expiry(self, waiting: DataFrame, moment: datetime) -> datetime:
        """When the next row will have waited long enough."""
        patience = min(one.hold_for for one in self._holding)
        (found,) = waiting.agg(F.unix_micros(F.min("since")).alias("oldest")).collect()
        oldest = datetime.fromtimestamp(found["oldest"] / 1_000_000, timezone.utc)
        return max(oldest + patience, moment)

    # Up to which version of each dimension the keys of all waiting rows were looked for. Lost,
    # they are all tried once more.

    @property
    def _file(self) -> Path:
        return self.refinery.held.path / "_seen.json"

    def _seen(self) -> Mapping[str, int]:
        if not self._file.exists():
            return {}
        told: dict[str, int] = json.loads(self._file.read_text(encoding="utf-8"))
        return told

    def _note(self, versions: Mapping[str, int]) -> None:
        write_atomically(self._file, json.dumps(dict(versions)))
