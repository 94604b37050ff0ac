"""The keys of `envelope`: how a change is taken out of the message that brings it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from medallion_jobs.config.fields import Ddl, Identifier, as_list
from medallion_jobs.config.frozen import Frozen

TimeUnit = Literal["millis", "micros", "nanos"]
DecimalForm = Literal["precise", "string", "double"]
ValueForm = Literal["millis", "micros", "nanos", "precise", "string", "double"]
OpLetter = Literal["c", "u", "d", "r", "t"]
SourceTable = Annotated[
    str,
    Field(pattern=r"^[^.\s]+(\.[^.]+)+$", title="a table with its schema, such as public.orders"),
]
SourceTables = Annotated[
    tuple[SourceTable, ...],
    Field(min_length=1, title="a table with its schema, or a list of them"),
    BeforeValidator(as_list, json_schema_input_type=SourceTable | tuple[SourceTable, ...]),
]


class Envelope(Frozen):
    """Changes of rows, as a program for change data capture writes them."""

    format: Literal["debezium", "plain"] = Field(
        description="debezium: with `before`, `after` and `op`; plain: the row after the change, "
        "with a column that says what it is."
    )
    schema_: Ddl = Field(alias="schema", description="The columns of the changed table.")
    column: Identifier | None = Field(
        default=None,
        description="The column with the whole message as JSON text; unset, the columns of the "
        "source are the parts of the message.",
    )
    key: Identifier | None = Field(
        default=None,
        description="The column with the message's key as JSON text; gives the key of a delete "
        "whose `before` is missing.",
    )
    tables: SourceTables | None = Field(
        default=None,
        description="The changed tables, as the marks of transactions name them, such as "
        "public.orders; needed by `apply_changes.transactional`.",
    )
    new_columns: Literal["add", "rescue"] = Field(
        default="add",
        description="What happens to a column that `schema` lacks: add it to the table, with the "
        "type in the message's schema, else as text; or keep it in _rescued_data.",
    )
    timestamps: TimeUnit = Field(
        default="micros",
        description="Unit of a timestamp that comes as a number, if the message has no schema.",
    )
    decimals: DecimalForm = Field(
        default="precise",
        description="Debezium's `decimal.handling.mode`, if the message has no schema.",
    )
    types: dict[Identifier, ValueForm] = Field(
        default={},
        description="The unit of timestamps, or the form of decimals, of single columns.",
        title="a mapping of names to units or forms",
    )
    unavailable_value: str = Field(
        default="__debezium_unavailable_value",
        description="Debezium's `unavailable.value.placeholder`: stands for a value that the "
        "database did not send; the table keeps the value that it has.",
    )
    op: Identifier = Field(
        default="op", description="With plain: the column that says what the change is."
    )
    ops: dict[str, OpLetter] = Field(
        default={},
        description="With plain: values of `op`, besides I, U, D and the like, and what they are: "
        "c, u, d, r (a row of a snapshot) or t (truncate).",
        title="a mapping of values to c, u, d, r or t",
    )
