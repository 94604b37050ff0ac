"""How a table lies on disk, as its log tells, and what of that was set from a config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from medallion_jobs.config import Layout
from medallion_jobs.lake.tables.sql import table
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What was set from the config, so that it can be taken away when the config says it no more.
RECORD = "medallion.layout"


@dataclass(frozen=True)
class State:
    """A table as it is.

    Attributes:
        comments: what its columns are, by their name.
    """

    path: Location
    partitions: tuple[str, ...]
    description: str | None
    comments: Mapping[str, str]
    properties: Mapping[str, str | None]
    has_clustering: bool

    @classmethod
    def of(cls, path: Location) -> State:
        there = open_delta(path)
        metadata = there.metadata()
        return cls(
            path=path,
            partitions=tuple(metadata.partition_columns),
            description=metadata.description,
            comments={
                one.name: one.metadata["comment"]
                for one in there.schema().fields
                if one.metadata.get("comment")
            },
            properties=metadata.configuration,
            has_clustering="clustering" in (there.protocol().writer_features or ()),
        )

    @cached_property
    def recorded(self) -> Recorded:
        return Recorded.read(self.properties.get(RECORD))

    def clustering(self, spark: SparkSession) -> tuple[str, ...]:
        if not self.has_clustering:
            return ()
        (detail,) = spark.sql(f"DESCRIBE DETAIL {table(self.path)}").collect()
        return tuple(detail["clusteringColumns"])


@dataclass(frozen=True)
class Recorded:
    """What of a table was set from a config, as the table remembers it."""

    comment: bool = False
    clustered: bool = False
    comments: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, layout: Layout) -> Recorded:
        return cls(
            comment=layout.comment is not None,
            clustered=layout.cluster_by is not None,
            comments=tuple(sorted(layout.comments)),
            properties=tuple(sorted(layout.properties)),
            checks=dict(sorted(layout.checks.items())),
        )

    @classmethod
    def read(cls, text: str | None) -> Recorded:
        return cls(**json.loads(text or "{}"))

    def __str__(self) -> str:
        return json.dumps({key: value for key, value in asdict(self).items() if value})
