"""How a table lies on disk, and what Delta is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from medallion_jobs.config.fields import Count, Identifier, Names, RowSql, Size, SparkValue, refused
from medallion_jobs.config.frozen import Frozen

# The package's own, or such as would break what it relies on.
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
    """How a table lies on disk."""

    partition_by: Names | None = Field(
        default=None,
        description="Columns of which each value has a folder of its own; fixed when the table "
        "is made.",
    )
    cluster_by: Names | None = Field(
        default=None,
        max_length=4,
        description="Columns by which OPTIMIZE puts rows together (liquid clustering).",
    )
    target_file_size: Size | None = Field(
        default=None, description="Size of data files that OPTIMIZE aims at."
    )
    optimize_after: Count | None = Field(
        default=None,
        description="Optimize when the table has this many more data files than after the last "
        "time; unset, by `medallion maintain` alone.",
    )
    comment: str | None = Field(default=None, description="What the table is, for its readers.")
    comments: dict[Identifier, str] = Field(
        default={}, description="What its columns are.", title="a mapping of names to text"
    )
    properties: dict[str, SparkValue] = Field(
        default={},
        description="Further table properties; not those on which the package relies.",
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
            raise refused("a table is partitioned or clustered: give one")
        return data

    @model_validator(mode="after")
    def _not_ours(self) -> Layout:
        ours = {key.casefold(): key for key in _OURS}
        for key in self.properties:
            if key.casefold() in ours or key.casefold().startswith("delta.constraints."):
                raise refused(f"{key} is set by the package itself, by what the config says")
        return self
