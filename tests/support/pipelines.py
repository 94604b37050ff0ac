"""The pipelines beside sales, each in a lake of its own, held against their oracles."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medallion_jobs.config import Pipeline, load
from support.exact import assert_same
from support.lake import ROOT, Lake
from support.pipeline_oracles import COLUMNS, ORACLES, Tables, canonical, good_lines

PIPELINES = tuple(ORACLES)
NOW = "2026-01-31T21:30:00Z"  # the hours of the files begin then, so on two days and more

# A parsed text that holds none of the declared columns may be null, or a struct of nulls.
_NULL_IF_EMPTY = {("silver.transactions", "raw_metadata")}


@dataclass(frozen=True)
class PipelineLake(Lake):
    """A lake of one of `PIPELINES`, with files that were made and have not landed yet.

    Files are made in `staging` and landed slice by slice, in the order in which they were made.
    """

    name: str = ""

    @classmethod
    def of(cls, name: str, folder: Path, *settings: str) -> PipelineLake:
        """An empty one in `folder`; `settings` are further `--set`."""
        few = ("spark.shuffle_partitions=1", *settings)
        return cls(folder / "lake", folder / "landing", few, name)

    @property
    def config_file(self) -> Path:
        return ROOT / "conf" / f"{self.name}.yaml"

    @property
    def arguments(self) -> list[str]:
        overrides = [word for one in self.overrides for word in ("--set", one)]
        return ["--config", str(self.config_file), *overrides]

    @property
    def config(self) -> Pipeline:
        return load(self.config_file, None, self.overrides, environ={}).pipeline

    @property
    def folder(self) -> Path:
        """Where the first bronze table finds its files."""
        return self.config.landing_path(next(iter(self.config.bronze)))

    @property
    def staging(self) -> Path:
        return self.landing.parent / "staging"

    # What goes in

    def stage(
        self, files: int, *, rows: int = 40, seed: int = 1, now: str = NOW, **options: object
    ) -> list[list[Path]]:
        """Makes files that do not land yet.

        Returns:
            By file number, the staged files that it brings: of dimensions first, then events.
        """
        flags = (x for k, v in options.items() for x in (f"--{k.replace('_', '-')}", str(v)))
        wanted = ["--files", str(files), "--rows", str(rows), "--seed", str(seed), "--now", now]
        # The last `--set` of a key wins.
        elsewhere = Lake.having(self, f"landing.root={self.staging}")
        told = json.loads(elsewhere.cli("generate", *wanted, *flags, "--json"))
        staged: list[list[Path]] = [[] for _ in range(files)]
        for file in told["files"]:
            staged[file["number"] - 1].append(self.staging / file["table"] / file["name"])
        return staged

    def generate(self, files: int, **options: Any) -> None:
        """Makes files and lands all of them."""
        self.land(path for brought in self.stage(files, **options) for path in brought)

    def land(self, files: Iterable[Path]) -> None:
        """Moves staged files to where bronze reads, in order; their ages keep it."""
        for path in files:
            age = int(path.name.removeprefix(f"{path.parent.name}_").partition("_")[0])
            os.utime(path, (1_700_000_000 + age,) * 2)
            landed = self.landing / path.parent.name / path.name
            landed.parent.mkdir(parents=True, exist_ok=True)
            path.rename(landed)

    # What comes out

    def tables(self) -> Tables:
        """What silver and gold must hold, by the files that have landed."""
        return ORACLES[self.name](
            {
                table: good_lines(sorted((self.landing / table).glob("*.json")))
                for table in self.config.bronze
            }
        )


def assert_exact(lake: PipelineLake, layers: Sequence[str] = ("silver", "gold")) -> Tables:
    """Every table of these layers holds just the rows that the landed files call for."""
    expected = lake.tables()
    for table, rows in expected.items():
        if table.partition(".")[0] in layers:
            assert_same(found_in(lake, table), rows, table)
    return expected


def found_in(lake: PipelineLake, table: str) -> Counter[tuple[Any, ...]]:
    """A table's rows in the columns that the oracle tells of, in its forms."""
    return Counter(
        tuple(
            (canonical(row[name]) or None)
            if (table, name) in _NULL_IF_EMPTY
            else canonical(row[name])
            for name in COLUMNS[table]
        )
        for row in lake.rows(table)
    )
