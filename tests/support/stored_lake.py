"""Lakes of all four pipelines as an earlier version left them, in tests/data.

A later version must go on over them: no refusal, no row changed, and the next files exact. The
ledger and the checkpoints hold absolute paths, so the lakes lie where they were made.

`python -m support.stored_lake`, from `tests/`, stores them anew by the version at hand. Do that
only for a new version's own archive, beside those that are there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medallion_jobs import __version__
from medallion_jobs.config import Pipeline, load
from support.lake import Lake
from support.pipelines import PIPELINES, PipelineLake

DATA = Path(__file__).parents[1] / "data"
PLACE = Path("/tmp/medallion_jobs_stored_lake")
_AS_LOADED = "conf.yaml"


@dataclass(frozen=True)
class StoredLake(PipelineLake):
    """One of the shipped pipelines beside sales, under the config that it was made with."""

    @classmethod
    def named(cls, name: str) -> StoredLake:
        return cls.of(name, PLACE / name)  # type: ignore[return-value]

    @property
    def config_file(self) -> Path:
        return PLACE / self.name / _AS_LOADED


@dataclass(frozen=True)
class StoredSales(Lake):
    """The sales pipeline, under the config that it was made with."""

    @classmethod
    def here(cls) -> StoredSales:
        return cls.at(PLACE / "sales")  # type: ignore[return-value]

    @property
    def config_file(self) -> Path:
        return PLACE / "sales" / _AS_LOADED

    @property
    def arguments(self) -> list[str]:
        return [
            "--config",
            str(self.config_file),
            *(a for o in self.overrides for a in ("--set", o)),
        ]

    @property
    def config(self) -> Pipeline:
        return load(self.config_file, None, self.overrides, environ={}).pipeline

    @property
    def later(self) -> Path:
        """Files that land after the version changed."""
        return PLACE / "sales" / "later"


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """The lakes of an archive, where they were made; nobody else has them meanwhile."""
    with PLACE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(PLACE, ignore_errors=True)
        with tarfile.open(archive) as packed:
            packed.extractall(PLACE, filter="data")
        try:
            yield PLACE
        finally:
            shutil.rmtree(PLACE, ignore_errors=True)


def archives() -> list[Path]:
    return sorted(DATA.glob("lake_*.tar.xz"))


# How one is made


def _make() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    for name in ("sales", *PIPELINES):
        (PLACE / name).mkdir(parents=True)
        conf = Path(__file__).parents[2] / "conf"
        shutil.copy(conf / f"{name}.yaml", PLACE / name / _AS_LOADED)
        for base in (conf / "base.yaml",):
            shutil.copy(base, PLACE / name / base.name)
    _make_sales(StoredSales.here())
    for name in PIPELINES:
        _make_pipeline(StoredLake.named(name))


def _make_sales(lake: StoredSales) -> None:
    lake.generate(0)
    lake.generate(3, rows=20, dirty=0.1, new_column_from=2)
    lake.drop("bad.json", '{"order_id": "cut')
    lake.run()
    lake.reset("gold.sales_by_region_day")
    lake.generate(2, rows=20, seed=2, dirty=0.1)
    lake.run()
    _redo_last(lake, "silver/sales")
    before = set(lake.folder.iterdir())
    lake.generate(2, rows=20, seed=3, dirty=0.1)
    lake.later.mkdir()
    for file in set(lake.folder.iterdir()) - before:
        file.rename(lake.later / file.name)


def _make_pipeline(lake: StoredLake) -> None:
    for table in lake.config.bronze:
        (lake.landing / table).mkdir(parents=True)
    staged = lake.stage(6, rows=20, seed=5, dirty=0.1)
    first = next(iter(lake.config.bronze))
    early = [file for brought in staged[:4] for file in brought]
    if lake.name == "iot_sales":  # rows whose dimensions come later are held
        late = [file for file in early if file.parent.name != first][2:]
        early = [file for file in early if file not in late]
    lake.land(early[:2])
    lake.run()
    for table in lake.config.gold:
        lake.reset(f"gold.{table}")
    lake.land(early[2:])
    if lake.name == "iot_sales":
        _dies(lake)
    else:
        lake.run()
        _redo_last(lake, f"bronze/{first}")


def _redo_last(lake: Lake, query: str) -> None:
    """As after `kill -9` between the table's commit and Spark's own note of the batch."""
    commits = max((lake.checkpoints / query).glob("*/commits"))
    newest = max(int(f.name) for f in commits.iterdir() if f.name.isdigit())
    (commits / str(newest)).unlink()
    (commits / f".{newest}.crc").unlink(missing_ok=True)


def _dies(lake: StoredLake) -> None:
    """`kill -9` between silver's commit and the rows that it holds."""
    environ = {**os.environ, "DIES_AT": "before_rows_are_parked"}
    command = [sys.executable, "-m", "support.dies_in_silver", "run", *lake.arguments]
    assert subprocess.run(command, env=environ, check=False).returncode == -9


if __name__ == "__main__":
    _make()
    target = DATA / f"lake_{__version__}.tar.xz"
    with tarfile.open(target, "w:xz", preset=9) as packed:
        packed.add(PLACE, ".")
    print(target, target.stat().st_size)
