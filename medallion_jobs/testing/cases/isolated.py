"""A pipeline that can touch nothing but the folder of a case."""

from __future__ import annotations

import tempfile
from pathlib import Path

from medallion_jobs.config import BronzeTable, CleanSource, FileSource, Pipeline

# For checks before there is a folder: a lake that does not exist.
_NOWHERE = Path(tempfile.gettempdir()) / "medallion-no-lake"
NOWHERE = (f"storage.root={_NOWHERE / 'lake'}", f"landing.root={_NOWHERE / 'landing'}")


def config(loaded: Pipeline) -> Pipeline:
    """The pipeline with no folder, database or cluster of its own.

    Rules such as `on_all_aside` look at shares of many rows, which a case does not have.
    """
    return loaded.model_copy(
        update={
            "spark": loaded.spark.model_copy(
                update={"master": "local[2]", "shuffle_partitions": 1, "driver_memory": None}
            ),
            "bronze": {name: _bronze(table) for name, table in loaded.bronze.items()},
            "silver": {
                name: table.model_copy(update={"on_all_aside": None})
                for name, table in loaded.silver.items()
            },
            "gold": {
                name: table.model_copy(update={"sinks": ()}) for name, table in loaded.gold.items()
            },
            "on_all_aside": "warn",
        }
    )


def _bronze(table: BronzeTable) -> BronzeTable:
    source = table.source
    if isinstance(source, FileSource):
        own = {
            "path": None,
            "clean_source": CleanSource(),
            "discovery": "listing",
            "manifest": None,
            "include_existing_files": True,
            "modified_after": None,
            "modified_before": None,
        }
        source = source.model_copy(update=own)
    return table.model_copy(update={"source": source, "on_all_aside": None})


def placed(pipeline: Pipeline, folder: Path) -> Pipeline:
    """The pipeline with its lake and its files below a folder."""
    return pipeline.model_copy(
        update={
            "storage": pipeline.storage.model_copy(update={"root": str(folder / "lake")}),
            "landing": pipeline.landing.model_copy(update={"root": str(folder / "landing")}),
        }
    )
