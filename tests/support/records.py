"""Reading files by a format's reader, as the autoloader does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.file_entry import FileEntry, to_uri
from medallion_jobs.autoloader.readers.records import FormatReader, Input
from medallion_jobs.lake.columns import RESCUED


class Read(NamedTuple):
    """What a reader makes of files.

    Attributes:
        rows: by file name, the wanted columns of its good records.
        rescued: by file name, what was rescued, without the file's name in it.
        bad: by file name, reason and raw text of its bad records.
        raw_bytes: by file name, the bytes of its bad records.
    """

    rows: dict[str, list[tuple[Any, ...]]]
    rescued: dict[str, list[dict[str, Any]]]
    bad: dict[str, list[tuple[str, str]]]
    has_new: bool
    raw_bytes: dict[str, list[bytes | None]]


def found(path: Path) -> FileEntry:
    """A file as a listing shows it."""
    stat = path.stat()
    return FileEntry(stat.st_mtime_ns // 1000, to_uri(str(path)), stat.st_size)


def read(
    spark: SparkSession,
    reader: FormatReader,
    files: Sequence[Path],
    ddl: str,
    options: Mapping[str, str] | None = None,
) -> Read:
    """Reads all files at once, in one job."""
    columns = StructType.fromDDL(ddl)
    records = reader.records(Input(spark, [found(file) for file in files], options or {}), columns)
    rows = records.frame.select(
        F.struct(records.good.alias("good"), records.reason.alias("reason")).alias("__judged"),
        records.raw.alias("__raw_text"),
        records.raw_bytes.alias("__raw_binary"),
        F.struct(*records.columns).alias("__columns"),
        "_input_file",
        "_file_size",
    ).collect()
    result = Read({}, {}, {}, records.has_new is True, {})
    assert not isinstance(records.has_new, bool) or result.has_new == records.has_new
    by_uri = {found(file).path: file for file in files}
    for row in rows:
        file = by_uri[row["_input_file"]]
        assert row["_file_size"] == file.stat().st_size
        if not row["__judged"]["good"]:
            told = (row["__judged"]["reason"], row["__raw_text"])
            result.bad.setdefault(file.name, []).append(told)
            binary = row["__raw_binary"]
            result.raw_bytes.setdefault(file.name, []).append(binary and bytes(binary))
            continue
        values = row["__columns"]
        assert list(values.asDict()) == [*columns.names, RESCUED]
        result.rows.setdefault(file.name, []).append(tuple(values)[:-1])
        if values[RESCUED] is not None:
            told = json.loads(values[RESCUED])
            assert told.pop("_file_path") == row["_input_file"]
            result.rescued.setdefault(file.name, []).append(told)
    return result
