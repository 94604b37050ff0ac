"""The keys of `snapshot`: how full dumps of a table are applied to a silver table.

The words are those of AUTO CDC FROM SNAPSHOT in Spark Declarative Pipelines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from medallion_jobs.config.apply_changes import chosen, tracking_contradictions
from medallion_jobs.config.fields import OneOrMoreNames, RowSql, Share, refused
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.units import parse_share


class Snapshot(Frozen):
    """Full dumps, each of which is the whole of a table."""

    keys: OneOrMoreNames = Field(description="The columns that identify a row.")
    dump: RowSql = Field(
        description="What marks a dump: `file` or `folder`, by its name, or SQL over the row, such "
        "as a column. Rows with one value are one dump; a dump with a greater value is newer.",
    )
    stored_as_scd_type: Literal[1, 2] = Field(
        default=1,
        description="1: the rows of the newest dump; 2: one row for each version of a key, valid "
        "from `__START_AT` until `__END_AT`, which are values of `dump`.",
    )
    track_history_column_list: OneOrMoreNames | None = Field(
        default=None,
        description="With SCD type 2: the columns whose changes make a new version; unset, all.",
    )
    track_history_except_column_list: OneOrMoreNames | None = Field(
        default=None,
        description="With SCD type 2: columns whose changes make no new version.",
    )
    max_missing: Share = Field(
        default=parse_share("50%"),
        json_schema_extra={"default": "50%"},
        description="Maximum share of the table's keys that a dump may lack; one that lacks more "
        "counts as incomplete, and is refused.",
    )
    on_refused: Literal["quarantine", "fail"] = Field(
        default="quarantine",
        description="What happens to a dump that is refused, as it is incomplete, older than the "
        "last one, or has different rows of one key.",
    )

    def tracked_of(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of these columns whose changes make a new version."""
        return chosen(names, self.track_history_column_list, self.track_history_except_column_list)

    @property
    def has_history(self) -> bool:
        """Whether the table has a row for each version of a key."""
        return self.stored_as_scd_type == 2  # noqa: PLR2004 (the word of Kimball)

    @model_validator(mode="before")
    @classmethod
    def _go_together(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for wrong, reason in tracking_contradictions(data):
                if wrong:
                    raise refused(reason)
        return data
