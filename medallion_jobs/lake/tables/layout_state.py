"""The current layout of a table, from its log, and which parts of it a config has set."""

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

# The table property that records what a config set, so that it can be removed again when the
# config no longer has it.
RECORD = "medallion.layout"


@dataclass(frozen=True)
class State:
    """The current layout of a table.

    Attributes:
        description: the table's comment.
        comments: comments by column.
    """

    path: Location
    partitions: tuple[str, ...]
    description: str | None
    comments: Mapping[str, str]
    properties: Mapping[str, str | None]
    has_clustering: bool

    @classmethod
    def of(cls, path: Location) -> State:
        table = open_delta(path)
        metadata = table.metadata()
        return cls(
            path=path,
            partitions=tuple(metadata.partition_columns),
            description=metadata.description,
            comments={
                field.name: field.metadata["comment"]
                for field in table.schema().fields
                if field.metadata.get("comment")
            },
            properties=metadata.configuration,
            has_clustering="clustering" in (table.protocol().writer_features or ()),
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
    """The parts of a table's layout that a config has set, as the table records them."""

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
