"""The rows of bronze: what was read of a record, and what is known of its file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers.records import Records
from medallion_jobs.autoloader.schemas.columns import BronzeColumns
from medallion_jobs.lake.columns import BATCH_ID, FILE_VERSION, INPUT_FILE
from medallion_jobs.lake.tables.sql import text
from medallion_jobs.lake.values import strict

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import StructField

# What Hive and Spark name a folder whose column is null.
_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


def of(
    records: Records, columns: BronzeColumns, files: Sequence[FileEntry], batch: int
) -> list[Column]:
    """The columns of bronze, from good records of files."""
    about_batch = {
        columns.source.load_time_column: F.lit(datetime.now(timezone.utc)),
        BATCH_ID: F.lit(batch).cast("bigint"),
    }
    added = [columns.source.load_time_column, *columns.source.add_columns]
    return [
        *records.columns,
        *(_from_folder(field) for field in columns.from_folders),
        F.col(INPUT_FILE),
        *(about_batch.get(name, F.col(name)).alias(name) for name in added),
        *([version_of(files).alias(FILE_VERSION)] if columns.tells_versions else ()),
    ]


def version_of(files: Sequence[FileEntry]) -> Column:
    """Which content of its file a row is from."""
    newer = {file.path: file.version for file in files if file.version > 1}
    if not newer:
        return F.lit(1)
    pairs = [F.lit(part) for pair in newer.items() for part in pair]
    return F.coalesce(F.create_map(*pairs)[F.col(INPUT_FILE)], F.lit(1))


def older_contents(files: Sequence[FileEntry]) -> str | None:
    """The condition on rows that are of older contents of files; None when there are none."""
    older = [
        f"({INPUT_FILE} = {text(file.path)} AND coalesce({FILE_VERSION}, 1) < {file.version})"
        for file in files
        if file.version > 1
    ]
    return " OR ".join(older) or None


def _from_folder(field: StructField) -> Column:
    """The value that a folder `name=value` gives; the last one where there are several."""
    folder = F.regexp_extract(INPUT_FILE, rf".*/\Q{field.name}\E=([^/]*)/", 1)
    # Escaped once by whoever made the folder, and once more in the file's URI.
    told = _unescaped(_unescaped(folder))
    there = F.when((folder != "") & (told != _NULL_FOLDER), told)
    return strict.value(there, field.dataType).alias(field.name)


def _unescaped(escaped: Column) -> Column:
    # `url_decode` takes a plus for a space, as forms have it and paths do not.
    return F.try_url_decode(F.replace(escaped, F.lit("+"), F.lit("%2B")))
