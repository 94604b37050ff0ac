"""The keys of `apply_changes`: how change data is applied to a silver table.

The words are those of AUTO CDC (`create_auto_cdc_flow`) in Spark Declarative Pipelines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from medallion_jobs.config.fields import OneOrMoreNames, RowSql, Time, refused
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.units import parse_time

START_AT, END_AT = "__START_AT", "__END_AT"


class ApplyChanges(Frozen):
    """Applies changes of rows to a table, by key and sequence."""

    keys: OneOrMoreNames = Field(description="The columns that identify a row.")
    sequence_by: OneOrMoreNames = Field(
        description="The column that orders the changes of a key; of several, the first that "
        "differs decides."
    )
    apply_as_deletes: RowSql | None = Field(
        default=None, description="SQL that is true for a change that deletes its key."
    )
    apply_as_truncates: RowSql | None = Field(
        default=None,
        description="SQL that is true for a change that deletes all older rows; its key is not "
        "read.",
    )
    ignore_null_updates: bool = Field(
        default=False, description="A null in a change keeps the value that the row has."
    )
    column_list: OneOrMoreNames | None = Field(
        default=None, description="The columns of the table; unset, all columns of a change."
    )
    except_column_list: OneOrMoreNames | None = Field(
        default=None, description="Columns of a change that the table does not have."
    )
    stored_as_scd_type: Literal[1, 2] = Field(
        default=1,
        description="1: one row for each key; 2: one row for each version of a key, valid from "
        "`__START_AT` until `__END_AT`.",
    )
    track_history_column_list: OneOrMoreNames | None = Field(
        default=None,
        description="With SCD type 2: the columns whose changes make a new version; unset, all.",
    )
    track_history_except_column_list: OneOrMoreNames | None = Field(
        default=None,
        description="With SCD type 2: columns whose changes make no new version.",
    )
    transactional: bool = Field(
        default=False,
        description="With Debezium's transaction metadata: the changes of a transaction are "
        "applied once all of them have arrived.",
    )
    on_gap: Literal["fail", "ignore"] = Field(
        default="fail",
        description="With Debezium: what happens when the messages start over, such as with a "
        "new snapshot, after changes that were streamed: those in between may be missing.",
    )
    tombstone_retention: Time = Field(
        default=parse_time("30d"),
        json_schema_extra={"default": "30d"},
        description="How long a delete is remembered, so that an older change that arrives "
        "later does not bring the row back.",
    )

    @property
    def has_history(self) -> bool:
        """Whether the table has a row for each version of a key."""
        return self.stored_as_scd_type == 2  # noqa: PLR2004 (the word of Kimball)

    def spelled_as(self, columns: Iterable[str]) -> ApplyChanges:
        """The same with the names of these columns in their spelling: letter case may differ."""
        own = {name.lower(): name for name in columns}

        def spelled(names: Iterable[str]) -> tuple[str, ...]:
            return tuple(own.get(name.lower(), name) for name in names)

        update = {"keys": spelled(self.keys), "sequence_by": spelled(self.sequence_by)}
        return self.model_copy(update=update)

    def columns_of(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of these columns of a change that the table has, by the two column lists."""
        return chosen(names, self.column_list, self.except_column_list)

    def tracked_of(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of these columns whose changes make a new version."""
        return chosen(names, self.track_history_column_list, self.track_history_except_column_list)

    @model_validator(mode="before")
    @classmethod
    def _go_together(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for wrong, reason in _contradictions(data):
                if wrong:
                    raise refused(reason)
        return data


def _contradictions(data: Mapping[str, Any]) -> list[tuple[bool, str]]:
    has = {key for key, value in data.items() if value is not None}
    keys, lists = _names(data.get("keys")), _names(data.get("column_list"))
    without = _names(data.get("except_column_list"))
    return [
        (
            {"column_list", "except_column_list"} <= has,
            "`column_list` and `except_column_list` both name the columns: give only one",
        ),
        *tracking_contradictions(data),
        (bool(lists) and not keys <= lists, "`column_list` must have the `keys`"),
        (bool(keys & without), "`except_column_list` must not have a column of `keys`"),
    ]


def tracking_contradictions(data: Mapping[str, Any]) -> list[tuple[bool, str]]:
    """Whether the keys of history contradict each other, each with the reason to show."""
    names = ("track_history_column_list", "track_history_except_column_list")
    tracks = [key for key in names if data.get(key) is not None]
    tracked = {name for key in tracks for name in _names(data.get(key))}
    return [
        (
            len(tracks) > 1,
            "`track_history_column_list` and `track_history_except_column_list` both name the "
            "columns: give only one",
        ),
        (
            bool(tracks) and data.get("stored_as_scd_type", 1) not in (2, "2"),
            "`track_history…` needs `stored_as_scd_type: 2`",
        ),
        (
            bool(_names(data.get("keys")) & tracked),
            "`track_history…` must not have a column of `keys`",
        ),
    ]


def _names(value: object) -> set[str]:
    names = [value] if isinstance(value, str) else value
    return {str(name).lower() for name in names} if isinstance(names, list | tuple) else set()


def chosen(
    names: Iterable[str], listed: Iterable[str] | None, but: Iterable[str] | None
) -> tuple[str, ...]:
    """Those of the names that are listed, if there is a list, and not excepted, in any case."""
    wanted = {name.lower() for name in listed or ()}
    without = {name.lower() for name in but or ()}
    return tuple(
        name
        for name in names
        if (not wanted or name.lower() in wanted) and name.lower() not in without
    )
