"""How files become a frame whose columns are named by position.

No name of a column in a file can then disturb another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType

from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS, nothing_rescued
from medallion_jobs.lake.columns import FILE_MODIFIED, FILE_SIZE, INPUT_FILE, RESCUED, RESCUED_FILE
from medallion_jobs.lake.tables.json_text import JSON_TEXT


def reader(spark: SparkSession) -> DataFrameReader:
    """A reader that takes each path literally, and once.

    Spark treats a file's name with `?`, `*`, `[` or `{` as a pattern, and for each such name
    reads every other file of the batch once more (SPARK-58518). With `__globPaths__` false it
    expands no pattern; with `recursiveFileLookup` it reads each file of its listing once.
    """
    return spark.read.options(__globPaths__="false", recursiveFileLookup="true")


def paths(files: Iterable[FileEntry]) -> list[str]:
    """The paths of files, for a reader."""
    return [to_path(file.path) for file in files]


def file_columns(frame: DataFrame) -> list[Column]:
    """The columns about the file, also if the files themselves have a column `_metadata`."""
    metadata = frame.metadataColumn("_metadata")
    return [metadata[part].alias(name) for name, part in FILE_COLUMNS.items()]


def at(number: int) -> str:
    """The name of the column at a position, counted from 0."""
    return f"__{number}"


def wanted(columns: StructType) -> list[Column]:
    """The wanted columns by their names, and `_rescued_data`."""
    named = [F.col(at(n)).alias(name) for n, name in enumerate(columns.names)]
    return [*named, F.col(RESCUED)]


def rescued(values: Mapping[str, Column], path: Column) -> Column:
    """`_rescued_data`: the values that are not null, and the file's path, as JSON."""
    if not values:
        return nothing_rescued()
    some = F.greatest(F.lit(False), *(value.isNotNull() for value in values.values()))
    named = [value.alias(name) for name, value in values.items()]
    text = F.to_json(F.struct(*named, path.alias(RESCUED_FILE)), JSON_TEXT)
    return F.when(some, text).alias(RESCUED)


def united(
    frames: Sequence[DataFrame], spark: SparkSession, columns: StructType, *texts: str
) -> DataFrame:
    """The union of all frames; without one, an empty frame.

    Args:
        columns: the wanted columns.
        texts: names of other columns, besides those about the file.
    """
    if frames:
        return _united(frames)
    kinds: dict[str, DataType | str] = {at(n): f.dataType for n, f in enumerate(columns)}
    kinds |= dict.fromkeys((RESCUED, *texts, INPUT_FILE), "string")
    kinds |= {FILE_SIZE: "bigint", FILE_MODIFIED: "timestamp"}
    return spark.range(0).select(
        *(F.lit(None).cast(kind).alias(name) for name, kind in kinds.items())
    )


def _united(frames: Sequence[DataFrame]) -> DataFrame:
    """The union, built in halves: in a chain, Spark would repeat its analysis."""
    if len(frames) == 1:
        return frames[0]
    middle = len(frames) // 2
    return _united(frames[:middle]).union(_united(frames[middle:]))
