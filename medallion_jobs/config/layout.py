"""The layout of a table on disk: partitions, clustering, comments, properties and checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from medallion_jobs.config.fields import Count, Identifier, Names, RowSql, Size, SparkValue, refused
from medallion_jobs.config.frozen import Frozen

# Set by the package, or would break what it relies on.
_OURS = (
    "delta.appendOnly",
    "delta.enableChangeDataFeed",
    "delta.setTransactionRetentionDuration",
    "delta.columnMapping.mode",
    "delta.minReaderVersion",
    "delta.minWriterVersion",
    "delta.targetFileSize",
)


class Layout(Frozen):
    """Partitions, clustering, comments, properties and checks of a Delta table."""

    partition_by: Names | None = Field(
        default=None,
        description="Partition columns: each value has its own folder; fixed when the table is "
        "created.",
    )
    cluster_by: Names | None = Field(
        default=None,
        max_length=4,
        description="Columns by which OPTIMIZE clusters rows (liquid clustering).",
    )
    target_file_size: Size | None = Field(
        default=None, description="Target size of the data files that OPTIMIZE writes."
    )
    optimize_after: Count | None = Field(
        default=None,
        description="Optimize when the table has this many more data files than after the last "
        "OPTIMIZE; unset, only `medallion maintain` optimizes.",
    )
    comment: str | None = Field(default=None, description="Description of the table.")
    comments: dict[Identifier, str] = Field(
        default={}, description="Descriptions of columns.", title="a mapping of names to text"
    )
    properties: dict[str, SparkValue] = Field(
        default={},
        description="More table properties, except those that the package sets.",
        title="a mapping of names to values",
    )
    checks: dict[Identifier, RowSql] = Field(
        default={},
        description="CHECK constraints, by name: a batch that breaks one is not written.",
        title="a mapping of names to SQL",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_order(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("partition_by") and data.get("cluster_by"):
            raise refused("a table is either partitioned or clustered: give only one")
        return data

    @model_validator(mode="after")
    def _not_ours(self) -> Layout:
        ours = {key.casefold(): key for key in _OURS}
        for key in self.properties:
            if key.casefold() in ours or key.casefold().startswith("delta.constraints."):
                raise refused(f"the package sets {key} itself, from other keys of the config")
        return self
