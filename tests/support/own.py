"""A lake with a pipeline of the test's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from medallion_jobs.config import Pipeline, load
from support.lake import Lake


@dataclass(frozen=True)
class OwnLake(Lake):
    """Its config lies beside its folders, and may be written anew."""

    @classmethod
    def of(cls, folder: Path, config: str, *settings: str) -> OwnLake:
        lake = cls.at(folder, *settings)
        made = cls(lake.storage, lake.landing, lake.settings)
        made.configure(config)
        return made

    @property
    def config_file(self) -> Path:
        return self.storage.parent / "own.yaml"

    def configure(self, config: str) -> None:
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(dedent(config), encoding="utf-8")

    def copy(self, folder: Path) -> OwnLake:
        made = super().copy(folder)
        assert isinstance(made, OwnLake)
        made.configure(self.config_file.read_text(encoding="utf-8"))
        return made

    @property
    def arguments(self) -> list[str]:
        overrides = [word for one in self.overrides for word in ("--set", one)]
        return ["--config", str(self.config_file), *overrides]

    @property
    def config(self) -> Pipeline:
        return load(self.config_file, None, self.overrides, environ={}).pipeline

    def land(self, table: str, name: str, *rows: dict[str, Any], at: int = 0) -> Path:
        """Lands a file of these rows for a bronze table."""
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        return self.drop_bytes(f"../{table}/{name}", lines.encode(), at=at)
