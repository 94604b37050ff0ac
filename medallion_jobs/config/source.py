"""What a bronze table's `source` holds: which files, how they are read, and by what policies.

Names and meanings follow Auto Loader's options, so that what a user knows carries over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from medallion_jobs.config.fields import Count, Ddl, Folders, Moment, Names, Size, SparkValue, Time
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.units import parse_size, parse_time

Format = Literal["json", "csv", "parquet", "avro", "text", "binary"]
Evolution = Literal[
    "add_new_columns",
    "add_new_columns_with_type_widening",
    "rescue",
    "fail_on_new_columns",
    "none",
]
FileColumn = Literal["_file_size", "_file_modified", "_batch_id"]


class CleanSource(Frozen):
    """What becomes of files whose rows are in bronze."""

    mode: Literal["off", "move", "delete"] = Field(
        default="off", description="What becomes of a file once its rows are in bronze."
    )
    retention: Time = Field(
        default=parse_time("30d"),
        json_schema_extra={"default": "30d"},
        description="How long after its batch a file stays where it is.",
    )
    move_to: Folders | None = Field(
        default=None,
        max_length=1,
        description="With move: the folder that files go to, under the path that they had.",
    )
    force: bool = Field(
        default=False, description="Allow `delete` with a retention of less than 7 days."
    )


class Source(Frozen):
    """The files that a bronze table reads."""

    format: Format = Field(description="Format of the files.")
    path: Folders | None = Field(
        default=None,
        description="Folders the files land in, or patterns of them; unset, LANDING_ROOT/TABLE.",
    )
    schema_: Ddl | None = Field(
        default=None,
        alias="schema",
        description="Columns to read from the files; unset, inferred from a sample.",
    )
    schema_hints: Ddl | None = Field(
        default=None,
        description=(
            "Types of inferred columns, as DDL; inner fields by dots, `.element`, `.key`, `.value`."
        ),
    )
    schema_evolution: Evolution | None = Field(
        default=None,
        description=(
            "What a new column in the files does; unset, add_new_columns without a `schema` "
            "and none with one."
        ),
    )
    infer_column_types: bool = Field(
        default=False, description="Infer types in json and csv too; otherwise text."
    )
    inference_files: Count = Field(
        default=1000, description="Most files that the schema is inferred from."
    )
    inference_bytes: Size = Field(
        default=parse_size("1g"),
        json_schema_extra={"default": "1g"},
        description="Most bytes that the schema is inferred from.",
    )
    options: dict[str, SparkValue] = Field(
        default={},
        description="Options of the format's reader: see docs/autoloader.md.",
        title="a mapping of the format's own options",
    )
    partition_columns: Names | None = Field(
        default=None, description="Columns taken from folders named `column=value`."
    )
    add_columns: tuple[FileColumn, ...] = Field(
        default=(),
        description="Further columns about the file: _file_size, _file_modified, _batch_id.",
        title="a list of _file_size, _file_modified, _batch_id",
    )
    load_time_column: Literal["_load_time", "_ingestion_time"] = Field(
        default="_load_time", description="Name of the column that tells when a row was loaded."
    )
    discovery: Literal["listing", "manifest"] = Field(
        default="listing",
        description="How files are found: by listing the folders, or from a manifest.",
    )
    manifest: Folders | None = Field(
        default=None,
        max_length=1,
        description="With manifest: the folder of JSON-lines files that name what has arrived.",
    )
    recursive: bool = Field(default=True, description="Look into folders below, too.")
    path_glob_filter: str | None = Field(
        default=None,
        description="Only files whose name fits this pattern.",
        title="a pattern of file names, such as `*.json`",
    )
    modified_after: Moment | None = Field(
        default=None, description="Only files changed after this moment."
    )
    modified_before: Moment | None = Field(
        default=None, description="Only files changed before this moment."
    )
    include_existing_files: bool = Field(
        default=True, description="Read files that were there before the first run, too."
    )
    backfill_interval: Time = Field(
        default=parse_time("1d"),
        json_schema_extra={"default": "1d"},
        description="How often every folder is listed anew, changed or not.",
    )
    min_age: Time = Field(
        default=parse_time("1s"),
        json_schema_extra={"default": "1s"},
        description="A file changed less than this ago is looked at again before it is read.",
    )
    on_changed_file: Literal["ignore", "reprocess", "version", "fail"] = Field(
        default="ignore", description="What a file does that was read and has changed since."
    )
    on_missing_file: Literal["mark", "fail"] = Field(
        default="mark", description="What a file does that is gone when its turn comes."
    )
    clean_source: CleanSource = Field(
        default_factory=CleanSource, description="What becomes of files that are in bronze."
    )
    max_files_per_trigger: Count = Field(
        default=10_000, description="Most files that one batch takes."
    )
    max_bytes_per_trigger: Size = Field(
        default=parse_size("1g"),
        json_schema_extra={"default": "1g"},
        description="Most bytes that one batch takes; a batch takes one file at least.",
    )

    @property
    def evolution(self) -> Evolution:
        """The evolution mode: by default new columns are added where none were declared."""
        return self.schema_evolution or ("none" if self.schema_ else "add_new_columns")

    @property
    def grows(self) -> bool:
        """Whether new columns become columns of the table."""
        return self.evolution.startswith("add_new_columns")

    @property
    def widens(self) -> bool:
        """Whether a column's type may become a wider one."""
        return self.evolution == "add_new_columns_with_type_widening"

    @property
    def keeps_versions(self) -> bool:
        """Whether bronze tells by `_file_version` which content of a file a row is from."""
        return self.on_changed_file in ("reprocess", "version")

    def is_wanted_at(self, modified: datetime) -> bool:
        """Whether `modified_after` and `modified_before` let a file pass."""
        return not (
            (self.modified_after and modified <= self.modified_after)
            or (self.modified_before and modified >= self.modified_before)
        )
