"""What a silver table holds: how rows are shaped, looked up, judged and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from medallion_jobs.config.expectations import Expectation
from medallion_jobs.config.fields import (
    AllAside,
    DdlType,
    Function,
    Identifier,
    OneOrMoreNames,
    RowSql,
    Scalar,
    SelectNames,
    SilverInput,
    Time,
    refused,
)
from medallion_jobs.config.fields import Ddl as DdlText
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.layout import Layout
from medallion_jobs.config.lookups import Lookup, null_as_word
from medallion_jobs.config.names import TableRef

_OF_KEYED = frozenset({"keys", "sequence", "deletes", "surrogate_key", "unknown_member"})


def _schema_alone(value: object) -> object:
    return {"schema": value} if isinstance(value, str) else value


def _type_alone(value: object) -> object:
    return {"to": value} if isinstance(value, str) else value


class Cast(Frozen):
    """A column made another type, without one unreadable value stopping the table."""

    to: DdlType = Field(description="The type.")
    formats: tuple[str, ...] = Field(
        default=(),
        description="For dates and timestamps: Spark patterns, tried in this order; `iso` is ISO "
        "8601 with T or a space, any fraction, and Z, an offset or none, which is UTC.",
        title="a list of patterns such as `yyyy-MM-dd HH:mm:ss`, or `iso`",
    )
    default: Scalar | None = Field(
        default=None, description="In place of a missing or unreadable value.", title="a value"
    )
    rescue: bool = Field(
        default=False, description="Keep the text of an unreadable value in _rescued_data."
    )


class Parse(Frozen):
    """JSON text made a struct, an array or a map."""

    schema_: DdlText = Field(alias="schema", description="The columns in it, or its type, as DDL.")
    rest: Identifier | None = Field(
        default=None,
        description="With columns: one more of them, a map of texts, for the keys that they do "
        "not name; unset, such a text is kept in _rescued_data.",
    )


class Watermark(Frozen):
    """How late a row may be."""

    column: Identifier = Field(description="The column of the row's moment.")
    delay: Time = Field(description="How far behind the newest moment seen a row may be.")
    late: Literal["drop", "quarantine"] = Field(
        default="quarantine", description="What becomes of a row that is later; it is counted."
    )


class Dedupe(Frozen):
    """Repeated rows, of which one is kept."""

    keys: OneOrMoreNames | None = Field(
        default=None,
        description="Columns that tell a row apart, nulls equal; unset, all that was read.",
    )
    keep: Literal["first", "lowest", "highest"] = Field(
        default="first",
        description="first: what came first; lowest, highest: by order_by, replacing what was.",
    )
    order_by: Identifier | None = Field(
        default=None, description="With lowest and highest: the column that decides."
    )
    within: Literal["table", "watermark"] = Field(
        default="table",
        description="Where repeats are looked for: the whole table, or rows not older than the "
        "watermark.",
    )


class Deletes(Frozen):
    """Rows that say that their key is gone."""

    when: RowSql = Field(description="SQL that is true of such a row.")
    how: Literal["soft", "hard"] = Field(
        default="soft",
        description="soft: the row stays, marked _deleted; hard: it is removed.",
    )


class SilverTable(Frozen):
    """Rows cleaned and enriched."""

    from_: SilverInput = Field(alias="from", description="Table to read, as a stream.")
    where: RowSql | None = Field(
        default=None, description="Rows to take; the others are counted and left out."
    )
    parse: dict[
        Identifier,
        Annotated[Parse, BeforeValidator(_schema_alone, json_schema_input_type=str | Parse)],
    ] = Field(
        default={},
        description="Columns of JSON text, and the columns in it.",
        title="a mapping of names to DDL",
    )
    explode: dict[Identifier, Identifier] = Field(
        default={},
        max_length=1,
        description="New column to the array column of which each element becomes a row.",
        title="one new name: the array column",
    )
    flatten: OneOrMoreNames | None = Field(
        default=None, description="Struct columns whose fields become columns, as NAME_FIELD."
    )
    rename: dict[Identifier, Identifier] = Field(
        default={}, description="Old name to new name.", title="a mapping of names to names"
    )
    transform: Function | None = Field(
        default=None,
        description="A Python function, DataFrame to DataFrame, of a package in `python_packages`.",
    )
    cast: dict[
        Identifier,
        Annotated[Cast, BeforeValidator(_type_alone, json_schema_input_type=str | Cast)],
    ] = Field(
        default={},
        description="Columns to make another type, by name.",
        title="a mapping of names to types",
    )
    lookups: tuple[Lookup, ...] = Field(
        default=(), description="Dimensions to join, in this order.", title="a list of lookups"
    )
    columns: dict[Identifier, RowSql] = Field(
        default={},
        description="Columns to compute, by name, each from those before it; lookups come first.",
        title="a mapping of names to SQL",
    )
    expect: dict[Identifier, Expectation] = Field(
        default={}, description="Rules that rows keep, by name.", title="a mapping of rules"
    )
    watermark: Watermark | None = Field(default=None, description="How late a row may be.")
    dedupe: Dedupe | None = Field(default=None, description="Repeated rows, of which one is kept.")
    write: Literal["append", "upsert", "scd2"] = Field(
        default="append",
        description="append: add rows; upsert: one row a key; scd2: a row for each change of it.",
    )
    keys: OneOrMoreNames | None = Field(
        default=None, description="With upsert and scd2: the columns that tell a row apart."
    )
    sequence: Identifier | None = Field(
        default=None,
        description="With upsert and scd2: the column that grows with each change of a key.",
    )
    deletes: Deletes | None = Field(
        default=None, description="With upsert and scd2: rows that say that their key is gone."
    )
    select: SelectNames | None = Field(
        default=None,
        description="The table's columns, in their order, with the types they have; one with a "
        "`?` behind it is there once the source has it.",
    )
    schema_: DdlText | None = Field(
        default=None,
        alias="schema",
        description="In place of select: the table's columns, with their types.",
    )

    surrogate_key: Identifier | None = Field(
        default=None,
        description="With upsert and scd2: a bigint column, first in the table, that tells each "
        "row apart; the same for the same key (and validity) however often the table is made.",
    )
    unknown_member: dict[Identifier, Scalar] | None = Field(
        default=None,
        min_length=1,
        description="With upsert and scd2: a row that stands for what is not known, with these "
        "values; `on_miss: unknown` takes it.",
        title="a mapping of names to values",
    )
    on_rescued: Annotated[Literal["quarantine", "null"], BeforeValidator(null_as_word)] = Field(
        default="quarantine",
        description="What becomes of a row whose key, or whose column that a lookup or a rule "
        "reads, has a value that did not fit; null: it is taken for a missing value.",
    )
    on_all_aside: AllAside | None = Field(
        default=None, description="In place of the pipeline's on_all_aside."
    )
    layout: Layout = Field(default_factory=Layout, description="How the table lies on disk.")

    @property
    def selected(self) -> dict[str, bool]:
        """The names of `select`, in order, and whether the row has to have the column."""
        return {name.removesuffix("?"): not name.endswith("?") for name in self.select or ()}

    @property
    def dimensions(self) -> tuple[TableRef, ...]:
        """Tables that it looks into, each once."""
        referred = [rule.references.table for rule in self.expect.values() if rule.references]
        return tuple(dict.fromkeys([*(lookup.table for lookup in self.lookups), *referred]))

    @property
    def changes_rows(self) -> bool:
        """Whether a batch may change rows that are there."""
        by_order = self.dedupe is not None and self.dedupe.keep != "first"
        return by_order or self.write != "append"

    @model_validator(mode="before")
    @classmethod
    def _go_together(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for wrong, why in _contradictions(data):
                if wrong:
                    raise refused(why)
        return data


def _contradictions(data: Mapping[str, Any]) -> list[tuple[bool, str]]:
    keyed = data.get("write", "append") in ("upsert", "scd2")
    has = {key for key, value in data.items() if value is not None}
    dedupe = data.get("dedupe") if isinstance(data.get("dedupe"), Mapping) else {}
    assert isinstance(dedupe, Mapping)
    by_order = dedupe.get("keep", "first") in ("lowest", "highest")
    return [
        ({"select", "schema"} <= has, "`select` and `schema` both say the columns: give one"),
        (keyed and not {"keys", "sequence"} <= has, "upsert and scd2 need `keys` and `sequence`"),
        (
            not keyed and bool(_OF_KEYED & has),
            f"{', '.join(f'`{key}`' for key in sorted(_OF_KEYED))} belong to `write: upsert` or "
            "`scd2`",
        ),
        (keyed and "dedupe" in has, "upsert and scd2 keep one row a key; leave `dedupe` out"),
        (by_order and "order_by" not in dedupe, "dedupe: lowest and highest need `order_by`"),
        (by_order and "keys" not in dedupe, "dedupe: lowest and highest need `keys`"),
        (
            dedupe.get("within") == "watermark" and "watermark" not in has,
            "dedupe: `within: watermark` needs a `watermark`",
        ),
    ]
