"""The keys of a lookup: a dimension, join keys, columns to take, and what a miss does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from medallion_jobs.config.fields import AnyTable, Identifier, RowSql, Sql, Time
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.units import parse_time


def null_as_word(value: object) -> object:
    # YAML reads `on_miss: null` as None; here it is the word.
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
    """A join with a dimension."""

    table: AnyTable = Field(description="The dimension; it may belong to another pipeline.")
    on: NameMapping = Field(
        description="Join keys: columns of both tables, or a mapping of the dimension's column "
        "to SQL over the row."
    )
    take: NameMapping = Field(
        description="Columns to take, or a mapping of the new name to the dimension's column."
    )
    how: Literal["left", "inner"] = Field(
        default="left", description="inner drops a row without a match; left keeps it."
    )
    as_of: RowSql | None = Field(
        default=None,
        description="The row's event time: takes the dimension's row that was valid at that time.",
    )
    valid_from: Identifier = Field(
        default="valid_from",
        description="With as_of: the dimension's column for the start of validity.",
    )
    valid_to: Identifier = Field(
        default="valid_to",
        description="With as_of: the dimension's column for the end of validity, exclusive; "
        "null means still valid.",
    )
    before_first: Literal["miss", "first"] = Field(
        default="miss",
        description="With as_of: what happens to a time before the key's first row: a miss, or "
        "first takes that first row.",
    )
    one_by: Sql | None = Field(
        default=None,
        description="If several rows have a key, takes the first by this order; unset, refuses "
        "them.",
        title="a Spark SQL order, such as `updated_at desc`",
    )
    on_miss: Annotated[
        Literal["null", "unknown", "hold", "quarantine", "fail"], BeforeValidator(null_as_word)
    ] = Field(
        default="null",
        description="What happens to a row whose key is not in the dimension; unknown takes the "
        "dimension's `unknown_member`.",
    )
    hold_for: Time = Field(
        default=parse_time("7d"),
        json_schema_extra={"default": "7d"},
        description="With hold: how long a row is held until the dimension has its key.",
    )
    after_hold: Annotated[
        Literal["null", "unknown", "quarantine"], BeforeValidator(null_as_word)
    ] = Field(
        default="null", description="With hold: what happens to a row when `hold_for` is over."
    )
    max_age: Time | None = Field(
        default=None, description="Maximum time since the last write of the dimension."
    )
    when_stale: Literal["warn", "fail"] = Field(
        default="warn", description="What happens if the dimension is older than max_age."
    )


class Reference(Frozen):
    """A key that must exist in a dimension."""

    table: AnyTable = Field(description="The dimension.")
    on: NameMapping = Field(description="Its key columns, as in a lookup.")
