"""A pipeline in a folder of its own: files to drop, layers to run, tables to read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from typer.testing import CliRunner

from medallion_jobs.cli import app
from medallion_jobs.config import Pipeline, load
from medallion_jobs.observe.events import BatchDone, Event
from support import oracle

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "conf" / "sales.yaml"
NOW = "2026-01-31T00:20:00Z"  # orders lie in the hour before it, so on two days


@dataclass(frozen=True)
class Lake:
    """`storage` and `landing` are the two roots; `settings` are further `--set`."""

    storage: Path
    landing: Path
    settings: tuple[str, ...] = ()

    @classmethod
    def at(cls, folder: Path, *settings: str) -> Lake:
        return cls(folder / "lake", folder / "landing", ("spark.shuffle_partitions=1", *settings))

    def having(self, *settings: str) -> Lake:
        """The same lake under other settings."""
        return replace(self, settings=(*self.settings, *settings))

    def copy(self, folder: Path) -> Lake:
        """A copy of the tables and of all state, over the same landed files."""
        shutil.copytree(self.storage, folder / "lake")
        return replace(self, storage=folder / "lake")

    @property
    def overrides(self) -> list[str]:
        return [f"storage.root={self.storage}", f"landing.root={self.landing}", *self.settings]

    @property
    def arguments(self) -> list[str]:
        """The options that every command of the package takes."""
        return ["--config", str(CONFIG), *(a for o in self.overrides for a in ("--set", o))]

    @property
    def config(self) -> Pipeline:
        return load(CONFIG, None, self.overrides, environ={}).pipeline

    @property
    def folder(self) -> Path:
        """Where bronze.sales finds its files."""
        return self.landing / "sales"

    @property
    def checkpoints(self) -> Path:
        return self.storage / "_medallion" / "checkpoints"

    # What goes in

    def generate(self, files: int, *, rows: int = 40, seed: int = 1, **options: object) -> None:
        flags = (x for k, v in options.items() for x in (f"--{k.replace('_', '-')}", str(v)))
        wanted = ["--files", str(files), "--rows", str(rows), "--seed", str(seed), "--now", NOW]
        self.cli("generate", *wanted, *flags)

    def drop(self, name: str, *lines: str | bytes, end: bytes = b"\n", at: int = 0) -> Path:
        """Lands a file of these lines. `at`: its age rank, in seconds after a fixed moment."""
        data = b"".join((x.encode() if isinstance(x, str) else x) + end for x in lines)
        return self.drop_bytes(name, data, at=at)

    def drop_bytes(self, name: str, data: bytes, *, at: int = 0) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1_700_000_000 + at,) * 2)
        return path

    def add_customers(self, regions: dict[int, str]) -> None:
        rows = {
            "customer_id": pa.array(regions, pa.int64()),
            "customer_name": [f"customer {number}" for number in regions],
            "region": list(regions.values()),
        }
        write_deltalake(self.storage / "silver" / "customers", pa.table(rows), mode="append")

    # What is done

    def run(self, *layers: str) -> list[Event]:
        """Runs layers (all, unless named) in this process, on its one session."""
        from medallion_jobs.testing import LakeHarness  # it imports pyspark

        harness = LakeHarness(self.config)
        harness.run(*layers)
        return harness.events

    def cli(self, *arguments: str) -> str:
        """Runs a command that needs no JVM of its own, in this process; gives its stdout."""
        result = CliRunner().invoke(app, [*arguments, *self.arguments])
        if result.exception:
            raise result.exception
        return result.stdout

    def reset(self, table: str) -> str:
        return self.cli("checkpoint", "reset", table, "--reason", "a test", "--yes")

    # What comes out

    def rows(self, table: str, version: int | None = None) -> list[dict[str, Any]]:
        """Rows of `layer.name`, or of a folder below `_medallion`, read by delta-rs."""
        return rows_at(self.path(table), version)

    def path(self, table: str) -> Path:
        if "/" in table:
            return self.storage / "_medallion" / table
        return self.storage.joinpath(*table.split("."))

    def files(self) -> dict[str, dict[str, Any]]:
        """What `medallion files` tells, by the file's path."""
        told = json.loads(self.cli("files", "--json"))
        return {local(one["path"]): one for one in told}

    def truth(self, regions: dict[int, str] | None = None) -> oracle.Truth:
        landed = sorted(
            path
            for path in self.folder.rglob("*")
            if path.is_file()
            and not any(p.startswith((".", "_")) for p in path.relative_to(self.folder).parts)
        )
        return oracle.Truth.of(landed, oracle.REGIONS if regions is None else regions)

    def versions(self) -> dict[str, int]:
        """The newest version of every Delta table there is, ledger and quarantine included."""
        return {
            str(log.parent.relative_to(self.storage)): DeltaTable(log.parent).version()
            for log in sorted(self.storage.rglob("_delta_log"))
        }


def run_streams(config: Pipeline, streams: Sequence[Any]) -> list[Event]:
    """Runs queries to the end of what is there; gives the events that they told."""
    from medallion_jobs.engine.runner import run

    events: list[Event] = []
    run(config, streams, events.append)
    return events


def batches(events: Sequence[Event], table: str) -> list[BatchDone]:
    return [e for e in events if isinstance(e, BatchDone) and e.table == table]


def rows_at(path: Path, version: int | None = None) -> list[dict[str, Any]]:
    return DeltaTable(path, version=version).to_pyarrow_table().to_pylist()


def local(uri: str) -> str:
    """The path of a local file's URI."""
    return unquote(uri.removeprefix("file:"), errors="surrogateescape")


def order(**fields: object) -> str:
    """A good line; what is named differs from the usual."""
    usual = {
        "order_id": "o-1",
        "customer_id": 1,
        "product_id": 101,
        "quantity": 2,
        "order_timestamp": "2026-01-31 10:00:00",
    }
    return json.dumps({**usual, **fields})


def snapshot_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file below a folder, except locks, which any start may touch."""
    return dict(_stats(folder))


def _stats(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "lock":
            stat = path.stat()
            yield str(path.relative_to(folder)), (stat.st_size, stat.st_mtime_ns)
