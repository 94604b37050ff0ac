"""A pipeline whose files and tables lie in a store of objects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medallion_jobs import storage
from medallion_jobs.storage import S3, ObjectPath
from medallion_jobs.storage.delta import open_delta
from support import oracle
from support.lake import Lake
from support.objects import Store


@dataclass(frozen=True)
class StoredLake(Lake):
    """`storage` and `landing` are names below `root`; the AWS environment tells of the store."""

    root: ObjectPath = field(kw_only=True)

    @classmethod
    def in_store(cls, store: Store, beside: Path, *settings: str) -> StoredLake:
        """A lake of its own; commands run `beside` a local folder."""
        root = replace(store.at(beside.name), store=S3())
        return cls(beside / "lake", beside / "landing", settings, root=root)

    @property
    def overrides(self) -> list[str]:
        roots = [f"storage.root={self.root / 'lake'}", f"landing.root={self.root / 'landing'}"]
        return [*roots, "spark.shuffle_partitions=1", *self.settings]

    def place(self, table: str) -> ObjectPath:
        below = f"_medallion/{table}" if "/" in table else table.replace(".", "/")
        return self.root / "lake" / below

    def rows(self, table: str, version: int | None = None) -> list[dict[str, Any]]:
        return open_delta(self.place(table), version).to_pyarrow_table().to_pylist()

    def truth(self, regions: dict[int, str] | None = None) -> oracle.Truth:
        """What the landed files call for, each under the URI that it has in the store."""
        files = {}
        for one in (self.root / "landing" / "sales").iterdir():
            if not one.name.startswith("_"):
                copy = self.storage.parent / one.name
                copy.write_bytes(one.read_bytes())
                files[str(one)] = replace(oracle.read(copy), path=str(one))
        return oracle.Truth(files, oracle.REGIONS if regions is None else regions)

    def versions(self) -> dict[str, int]:
        first = (self.root / "lake").rglob(f"{0:020}.json")
        tables = {one.parent.parent for one in first if one.parent.name == "_delta_log"}
        return {str(storage.below(t, self.root)): open_delta(t).version() for t in tables}
