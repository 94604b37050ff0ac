"""A pipeline of branches that share nothing, so that some can fail while the others go on.

bronze.NAME -> silver.NAME -> gold.NAME, each with rows of `id` and `n`. silver.facts reads
bronze.ok, and looks its rows up in silver.batch, which fails for a row whose `n` is not small.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from deltalake import DeltaTable
from duckdb_extensions import import_extension

from medallion_jobs import bronze, gold, silver
from medallion_jobs.engine.query import StopSwitch
from medallion_jobs.engine.runner import run
from medallion_jobs.errors import MedallionError
from medallion_jobs.observe.events import Event, Note, RunSummary, TableFailed
from support.lake import rows_at
from support.own import OwnLake
from support.processes import PATIENCE

RULE = "small_number"


@dataclass
class Branches:
    """The lake of such a pipeline, what was landed for it, and what its newest run told."""

    lake: OwnLake
    landed: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @classmethod
    def of(
        cls, folder: Path, *names: str, gold: Sequence[str] = (), facts: bool = False
    ) -> Branches:
        source = "{format: json, schema: 'id BIGINT, n BIGINT', min_age: 1ms}"
        sums = "{group_by: [kind], measures: {many: {count: '*'}, total: {sum: n}}}"
        rule = f"expect: {{{RULE}: {{check: n < 1000, otherwise: fail}}}}"
        lookup = "lookups: [{table: silver.batch, on: {id: id}, take: {known: n}}]"
        lines = ["pipeline: branches", "bronze:"]
        lines += [f"  {name}: {{source: {source}}}" for name in names]
        lines += ["silver:"]
        for name in names:
            more = f", {rule}" if name == "batch" else ""
            lines += [f"  {name}: {{from: bronze.{name}, columns: {{kind: \"'x'\"}}{more}}}"]
        if facts:
            lines += [f"  facts: {{from: bronze.ok, {lookup}}}"]
        lines += ["gold:"] if gold else []
        lines += [f"  {name}: {{from: silver.{name}, {sums[1:]}" for name in gold]
        return cls(OwnLake.of(folder, "\n".join(lines) + "\n"))

    def land(self, name: str, *numbers: int) -> None:
        """Lands a file for a branch, with a row for each number."""
        rows = self.landed.setdefault(name, [])
        new = [(len(rows) + at, n) for at, n in enumerate(numbers)]
        self.lake.land(name, f"{len(rows)}.json", *({"id": at, "n": n} for at, n in new))
        rows += new

    def run(self) -> MedallionError | None:
        """Runs all that there is; returns the error that the run ended with."""
        return self._run(None, StopSwitch())

    def run_beside(self, tell: Callable[[], None]) -> MedallionError | None:
        """Runs continuously while `tell` does something; returns the run's error."""
        stop = StopSwitch()
        broken: list[BaseException] = []

        def work() -> None:
            try:
                tell()
            except BaseException as failure:
                broken.append(failure)
            stop.flip("the test is over")

        teller = threading.Thread(target=work)
        teller.start()
        try:
            return self._run(0.3, stop)
        finally:
            teller.join()
            for failure in broken:
                raise failure

    def until(self, seen: Callable[[], object]) -> None:
        """Waits until something is seen while the run is under way."""
        deadline = time.monotonic() + PATIENCE
        while not seen():
            assert time.monotonic() < deadline, f"not seen: {self.events}"
            time.sleep(0.05)

    def _run(self, interval: float | None, stop: StopSwitch) -> MedallionError | None:
        self.events = []
        config = self.lake.config
        streams = [stream for job in (bronze, silver, gold) for stream in job.streams(config)]
        try:
            run(config, streams, self.events.append, continuous=interval, stop=stop)
        except MedallionError as error:
            return error
        return None

    # What it told

    def notes(self, table: str, what: str) -> list[Note]:
        notes = [event for event in self.events if isinstance(event, Note)]
        return [note for note in notes if (note.table, note.what) == (table, what)]

    @property
    def failed(self) -> dict[str, str]:
        """The code of each table that failed for good."""
        return {one.table: one.code for one in self.events if isinstance(one, TableFailed)}

    @property
    def summary(self) -> RunSummary:
        (summary,) = [event for event in self.events if isinstance(event, RunSummary)]
        return summary

    # What came out

    def rows(self, name: str) -> list[tuple[int, int]]:
        path = self.lake.path(f"silver.{name}")
        found = rows_at(path) if DeltaTable.is_deltatable(str(path)) else []
        return sorted((row["id"], row["n"]) for row in found)

    def total(self, name: str) -> tuple[int, int]:
        """Rows and sum in gold, by DuckDB."""
        import_extension("delta")
        with duckdb.connect() as duck:
            duck.execute("LOAD delta")
            path = str(self.lake.path(f"gold.{name}"))
            found = duck.execute("SELECT many, total FROM delta_scan(?)", [path]).fetchall()
        return found[0] if found else (0, 0)

    def is_exact(self, *names: str, gold: Sequence[str] = ()) -> bool:
        """Silver has each landed row once, by delta-rs; gold has their sum, by DuckDB."""
        numbers = {name: [n for _, n in self.landed[name]] for name in gold}
        return all(self.rows(name) == sorted(self.landed[name]) for name in names) and all(
            self.total(name) == (len(numbers[name]), sum(numbers[name])) for name in gold
        )

    def wait_for(self, *names: str, gold: Sequence[str] = ()) -> None:
        """Until these are exact."""
        self.until(lambda: self.is_exact(*names, gold=gold))

    def assert_exact(self, *names: str, gold: Sequence[str] = ()) -> None:
        for name in names:
            assert self.is_exact(name), name
        for name in gold:
            assert self.is_exact(gold=[name]), name
