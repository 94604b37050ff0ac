"""A lake made without a JVM: tables by delta-rs, checkpoints of plain files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, Transaction, write_deltalake

from medallion_jobs.checkpoint import Binding, Claim, Logic, QueryFolder, manifest
from medallion_jobs.config import Landing, Pipeline, Storage, TableRef, load
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.observe.events import BatchDone

CONFIG = Path(__file__).parents[2] / "conf" / "sales.yaml"

BRONZE = TableRef("bronze", "sales")
SILVER = TableRef("silver", "sales")
GOLD = TableRef("gold", "sales_by_region_day")


def write_table(path: Path, rows: int = 1, txn: tuple[str, int] | None = None) -> None:
    """Appends rows in one data file and one commit, which may carry a transaction."""
    data = pa.table({"n": pa.array(range(rows), pa.int64())})
    transactions = [Transaction(*txn)] if txn else None
    write_deltalake(
        path,
        data,
        mode="append",
        commit_properties=CommitProperties(app_transactions=transactions),
    )


def batch_done(table: TableRef, batch: int, *, files: int = 0, seconds: float = 1.0) -> BatchDone:
    """A batch of one row."""
    return BatchDone(
        table=str(table),
        batch=batch,
        rows_in=1,
        rows_out=1,
        files=files,
        seconds=seconds,
        backlog=0,
    )


def table_id(path: Path) -> str:
    there = snapshot(path)
    assert there
    return there.id


def offset(version: int, index: int = -1, *, in_snapshot: bool = False) -> str:
    """A file of `offsets` as Spark writes it for a Delta source."""
    source = {
        "sourceVersion": 1,
        "reservoirId": "r",
        "reservoirVersion": version,
        "index": index,
        "isStartingVersion": in_snapshot,
    }
    return f'v1\n{{"batchWatermarkMs":0}}\n{json.dumps(source)}'


def touch_batches(folder: Path, newest: int, text: str = offset(0)) -> None:
    """The files 0 to `newest` of a checkpoint's `offsets` or `commits`."""
    folder.mkdir(parents=True, exist_ok=True)
    for batch in range(newest + 1):
        (folder / str(batch)).write_text(text)


@cache
def _sales() -> Pipeline:
    return load(CONFIG, environ={}).pipeline


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


Medallion = Callable[..., Answer]


@dataclass(frozen=True)
class Lake:
    """The sales pipeline's lake below `root`."""

    root: Path
    logic: Logic = field(default_factory=Logic)

    @property
    def arguments(self) -> list[str]:
        """The options that make a command work on this lake."""
        sets = (f"storage.root={self.root / 'lake'}", f"landing.root={self.root / 'landing'}")
        return ["--config", str(CONFIG), *(word for one in sets for word in ("--set", one))]

    @cached_property
    def config(self) -> Pipeline:
        roots = {
            "storage": Storage(root=str(self.root / "lake")),
            "landing": Landing(root=str(self.root / "landing")),
        }
        return _sales().model_copy(update=roots)

    def paths(self, ref: TableRef) -> TablePaths:
        return TablePaths(self.config, ref)

    def path(self, ref: TableRef) -> Path:
        return self.paths(ref).data

    def source(self, ref: TableRef) -> Path:
        return paths.sources(self.config)[ref]

    def home(self, ref: TableRef) -> QueryFolder:
        return QueryFolder.of(self.paths(ref))

    def claim(self, ref: TableRef) -> Claim:
        """What the query that writes `ref` is about to do."""
        source = {BRONZE: f"the ledger of {BRONZE}", SILVER: str(BRONZE), GOLD: str(SILVER)}[ref]
        return Claim(self.paths(ref), self.path(ref), source, self.source(ref), self.logic)

    def write(self, ref: TableRef, batch: int, generation: int = 1, rows: int = 3) -> None:
        """A batch's commit to the table."""
        app_id = self.home(ref).checkpoint(generation).app_id
        write_table(self.path(ref), rows, (app_id, batch))

    def checkpoint(self, ref: TableRef, *, offsets: int, commits: int, generation: int = 1) -> None:
        """A checkpoint that has planned and finished batches up to these."""
        folder = self.home(ref).checkpoint(generation).path
        touch_batches(folder / "offsets", offsets, offset(1))
        touch_batches(folder / "commits", commits)

    def bind(self, ref: TableRef) -> None:
        """Notes in the manifest's current generation what the query reads and writes."""
        home = self.home(ref)
        bound = Binding(
            source=self.claim(ref).source,
            source_id=table_id(self.source(ref)),
            target_id=table_id(self.path(ref)),
            logic=self.logic,
        )
        manifest.write(home, (manifest.read(home) or manifest.first(home)).binding(bound))

    def reset(self, ref: TableRef) -> None:
        """Opens the next generation."""
        home = self.home(ref)
        kept = manifest.read(home)
        assert kept
        manifest.write(home, kept.opening(kept.current.number + 1, "a test"))

    def run(self, ref: TableRef, batches: int) -> None:
        """Makes everything of a query that has run, and ended well."""
        for batch in range(batches):
            self.write(ref, batch)
        self.bind(ref)
        self.checkpoint(ref, offsets=batches - 1, commits=batches - 1)

    def run_all(self) -> None:
        """Makes everything as after a run of one batch a layer."""
        write_table(self.source(BRONZE))
        for ref in (BRONZE, SILVER, GOLD):
            self.run(ref, 1)

    def take_over(self, other: Lake) -> None:
        """Becomes a copy of another lake. What lies in a lake holds no path of it."""
        shutil.copytree(other.root, self.root, dirs_exist_ok=True)

    @property
    def runs(self) -> Path:
        """The folder of the records of runs."""
        return self.root / "lake" / "_medallion" / "runs"

    def files(self) -> dict[str, bytes]:
        """Every file there is, with its bytes, but for locks and the records of runs."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and path.name != "lock" and self.runs not in path.parents
        }
