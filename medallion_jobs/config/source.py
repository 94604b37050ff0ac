"""The keys of a bronze table's `source` of files: which to read, how, and with which policies.

Names and meanings follow the options of Auto Loader.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from pydantic import Field

from medallion_jobs.config.fields import (
    Count,
    Ddl,
    Folders,
    Moment,
    Names,
    ReaderOption,
    Size,
    Time,
)
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.units import parse_size, parse_time

Format = Literal["json", "csv", "parquet", "avro", "text", "binary"]
FORMATS: tuple[str, ...] = get_args(Format)
Evolution = Literal[
    "add_new_columns",
    "add_new_columns_with_type_widening",
    "rescue",
    "fail_on_new_columns",
    "none",
]
FileColumn = Literal["_file_size", "_file_modified", "_batch_id"]


class CleanSource(Frozen):
    """What happens to files whose rows are in bronze."""

    mode: Literal["off", "move", "delete"] = Field(
        default="off", description="What happens to a file once its rows are in bronze."
    )
    retention: Time = Field(
        default=parse_time("30d"),
        json_schema_extra={"default": "30d"},
        description="How long a file stays in place after its batch.",
    )
    move_to: Folders | None = Field(
        default=None,
        max_length=1,
        description="With move: the archive folder; files keep their path below it.",
    )
    force: bool = Field(
        default=False, description="Allow `delete` with a retention of less than 7 days."
    )


class FileSource(Frozen):
    """The files that a bronze table reads."""

    format: Format = Field(description="Format of the files.")
    path: Folders | None = Field(
        default=None,
        description="Folders of the files, or patterns of folders; unset, LANDING_ROOT/TABLE.",
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
            "What happens to a new column in the files; unset, add_new_columns without a "
            "`schema` and none with one."
        ),
    )
    infer_column_types: bool = Field(
        default=False, description="Also infer types in json and csv; otherwise all text."
    )
    inference_files: Count = Field(
        default=1000, description="Maximum number of files to infer the schema from."
    )
    inference_bytes: Size = Field(
        default=parse_size("1g"),
        json_schema_extra={"default": "1g"},
        description="Maximum number of bytes to infer the schema from.",
    )
    options: dict[str, ReaderOption] = Field(
        default={},
        description="Options of the format's reader; see docs/autoloader.md.",
        title="a mapping of the format's own options",
    )
    partition_columns: Names | None = Field(
        default=None, description="Columns to read from folders named `column=value`."
    )
    add_columns: tuple[FileColumn, ...] = Field(
        default=(),
        description="More columns about the file: _file_size, _file_modified, _batch_id.",
        title="a list of _file_size, _file_modified, _batch_id",
    )
    load_time_column: Literal["_load_time", "_ingestion_time"] = Field(
        default="_load_time", description="Name of the column with the time a row was loaded."
    )
    discovery: Literal["listing", "manifest"] = Field(
        default="listing",
        description="How files are found: by listing the folders, or from a manifest.",
    )
    manifest: Folders | None = Field(
        default=None,
        max_length=1,
        description="With manifest: the folder of JSON Lines files that list the arrived files.",
    )
    recursive: bool = Field(default=True, description="Also look into subfolders.")
    path_glob_filter: str | None = Field(
        default=None,
        description="Only files whose name matches this pattern.",
        title="a pattern of file names, such as `*.json`",
    )
    modified_after: Moment | None = Field(
        default=None, description="Only files modified after this time."
    )
    modified_before: Moment | None = Field(
        default=None, description="Only files modified before this time."
    )
    include_existing_files: bool = Field(
        default=True, description="Also read files that existed before the first run."
    )
    backfill_interval: Time = Field(
        default=parse_time("1d"),
        json_schema_extra={"default": "1d"},
        description="How often to list every folder again, changed or not.",
    )
    min_age: Time = Field(
        default=parse_time("1s"),
        json_schema_extra={"default": "1s"},
        description="A file modified less than this ago is checked again before it is read.",
    )
    on_changed_file: Literal["ignore", "reprocess", "version", "fail"] = Field(
        default="ignore", description="What happens to a file that changes after it was read."
    )
    on_missing_file: Literal["mark", "fail"] = Field(
        default="mark", description="What happens if a file no longer exists when it is read."
    )
    clean_source: CleanSource = Field(
        default_factory=CleanSource, description="What happens to files that are in bronze."
    )
    register_as_reader: bool | None = Field(
        default=None,
        description=(
            "Whether to leave a hidden file in the folders, by which other pipelines that clean "
            "them know of this reader; unset, only with `clean_source`."
        ),
    )
    max_files_per_trigger: Count = Field(
        default=10_000, description="Maximum number of files in one batch."
    )
    max_bytes_per_trigger: Size = Field(
        default=parse_size("1g"),
        json_schema_extra={"default": "1g"},
        description="Maximum number of bytes in one batch, which has at least one file.",
    )

    @property
    def evolution(self) -> Evolution:
        """The evolution mode; by default, new columns are added if no `schema` is declared."""
        return self.schema_evolution or ("none" if self.schema_ else "add_new_columns")

    @property
    def grows(self) -> bool:
        """Whether new columns are added to the table."""
        return self.evolution.startswith("add_new_columns")

    @property
    def widens(self) -> bool:
        """Whether the type of a column may be widened."""
        return self.evolution == "add_new_columns_with_type_widening"

    @property
    def keeps_versions(self) -> bool:
        """Whether bronze has `_file_version`: which version of a file a row comes from."""
        return self.on_changed_file in ("reprocess", "version")

    @property
    def registers(self) -> bool:
        """Whether the table registers in the folders that it reads: it writes a file into them."""
        return self.clean_source.mode != "off" or self.register_as_reader is True

    def is_wanted_at(self, modified: datetime) -> bool:
        """Whether a file passes `modified_after` and `modified_before`."""
        return not (
            (self.modified_after and modified <= self.modified_after)
            or (self.modified_before and modified >= self.modified_before)
        )
