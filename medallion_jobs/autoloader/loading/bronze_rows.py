"""The rows of bronze: the columns of a record, and columns about its file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs import clock
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers.records import Records
from medallion_jobs.autoloader.schemas.columns import BronzeColumns
from medallion_jobs.lake.columns import BATCH_ID, FILE_VERSION, INPUT_FILE
from medallion_jobs.lake.tables.sql import text
from medallion_jobs.lake.values import strict

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import StructField

# The name that Hive and Spark give to a folder for a null value.
_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


def of(
    records: Records, columns: BronzeColumns, files: Sequence[FileEntry], batch: int
) -> list[Column]:
    """The columns of bronze, from good records of files."""
    about_batch = {
        columns.source.load_time_column: F.lit(clock.now()),
        BATCH_ID: F.lit(batch).cast("bigint"),
    }
    added = [columns.source.load_time_column, *columns.source.add_columns]
    return [
        *records.columns,
        *(_from_folder(field) for field in columns.from_folders),
        F.col(INPUT_FILE),
        *(about_batch.get(name, F.col(name)).alias(name) for name in added),
        *([version_of(files).alias(FILE_VERSION)] if columns.has_versions else ()),
    ]


def version_of(files: Sequence[FileEntry]) -> Column:
    """The version of the file that a row is from."""
    newer = {file.path: file.version for file in files if file.version > 1}
    if not newer:
        return F.lit(1)
    pairs = [F.lit(part) for pair in newer.items() for part in pair]
    return F.coalesce(F.create_map(*pairs)[F.col(INPUT_FILE)], F.lit(1))


def older_contents(files: Sequence[FileEntry]) -> str | None:
    """The SQL condition on rows of older versions of files; None if there are none."""
    older = [
        f"({INPUT_FILE} = {text(file.path)} AND coalesce({FILE_VERSION}, 1) < {file.version})"
        for file in files
        if file.version > 1
    ]
    return " OR ".join(older) or None


def _from_folder(field: StructField) -> Column:
    """The value of a column from a folder `name=value`; of the last one if there are several."""
    folder = F.regexp_extract(INPUT_FILE, rf".*/\Q{field.name}\E=([^/]*)/", 1)
    # Escaped twice: by the writer of the folder, and in the file's URI.
    text = _unescaped(_unescaped(folder))
    text_or_null = F.when((folder != "") & (text != _NULL_FOLDER), text)
    return strict.value(text_or_null, field.dataType).alias(field.name)


def _unescaped(escaped: Column) -> Column:
    # `url_decode` turns a plus into a space, which is right in forms but not in paths.
    return F.try_url_decode(F.replace(escaped, F.lit("+"), F.lit("%2B")))
