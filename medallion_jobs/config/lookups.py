"""What a lookup holds: a dimension, the keys, the columns to take, and what a miss does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from medallion_jobs.config.fields import AnyTable, Identifier, RowSql, Sql, Time
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.units import parse_time


def null_as_word(value: object) -> object:
    # `on_miss: null` is YAML's own null, and means what it says.
    return "null" if value is None else value


def _names_as_mapping(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    return {name: name for name in value} if isinstance(value, list | tuple) else value


NameMapping = Annotated[
    dict[Identifier, RowSql],
    BeforeValidator(
        _names_as_mapping, json_schema_input_type=str | list[str] | dict[Identifier, RowSql]
    ),
    Field(min_length=1, title="a name, a list of names, or a mapping"),
]


class Lookup(Frozen):
    """Columns fetched from a dimension."""

    table: AnyTable = Field(description="The dimension; it may belong to another pipeline.")
    on: NameMapping = Field(
        description="Key columns, equal in both; or the dimension's column to SQL over the row."
    )
    take: NameMapping = Field(
        description="Columns to fetch; or the column's name here to its name in the dimension."
    )
    how: Literal["left", "inner"] = Field(
        default="left", description="inner leaves out a row with no match; left keeps it."
    )
    as_of: RowSql | None = Field(
        default=None,
        description="The row's moment: the dimension's row that was valid then is taken.",
    )
    valid_from: Identifier = Field(
        default="valid_from", description="With as_of: the dimension's first moment of validity."
    )
    valid_to: Identifier = Field(
        default="valid_to",
        description="With as_of: the moment from which it is not valid; null, still valid.",
    )
    before_first: Literal["miss", "first"] = Field(
        default="miss",
        description="With as_of: what a moment before a key's first row finds; first: that row.",
    )
    one_by: Sql | None = Field(
        default=None,
        description="Of several rows with a key, take the first by this order; unset, refuse them.",
        title="a Spark SQL order, such as `updated_at desc`",
    )
    on_miss: Annotated[
        Literal["null", "unknown", "hold", "quarantine", "fail"], BeforeValidator(null_as_word)
    ] = Field(
        default="null",
        description="What becomes of a row whose key is not there; unknown: it takes the "
        "dimension's `unknown_member`.",
    )
    hold_for: Time = Field(
        default=parse_time("7d"),
        json_schema_extra={"default": "7d"},
        description="With hold: how long a row waits for its key.",
    )
    after_hold: Annotated[
        Literal["null", "unknown", "quarantine"], BeforeValidator(null_as_word)
    ] = Field(default="null", description="With hold: what becomes of a row that waited in vain.")
    max_age: Time | None = Field(
        default=None, description="How long ago the dimension may have been written last."
    )
    when_stale: Literal["warn", "fail"] = Field(
        default="warn", description="What a dimension older than max_age does."
    )


class Reference(Frozen):
    """A key that must be in a dimension."""

    table: AnyTable = Field(description="The dimension.")
    on: NameMapping = Field(description="Its key columns, as in a lookup.")
