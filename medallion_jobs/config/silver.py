"""The keys of a silver table: how rows are shaped, looked up, checked and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from medallion_jobs.config.apply_changes import ApplyChanges
from medallion_jobs.config.envelope import Envelope
from medallion_jobs.config.expectations import Expectation
from medallion_jobs.config.fields import (
    AllAside,
    DdlType,
    Function,
    Identifier,
    OneOrMoreNames,
    OnSourceChange,
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
from medallion_jobs.config.snapshot import Snapshot

_OF_KEYED = frozenset({"keys", "sequence", "deletes", "surrogate_key", "unknown_member"})


def _schema_alone(value: object) -> object:
    return {"schema": value} if isinstance(value, str) else value


def _type_alone(value: object) -> object:
    return {"to": value} if isinstance(value, str) else value


class Cast(Frozen):
    """A cast of a column; an unreadable value becomes null instead of failing the batch."""

    to: DdlType = Field(description="The new type.")
    formats: tuple[str, ...] = Field(
        default=(),
        description="For dates and timestamps: Spark patterns, tried in this order; `iso` is ISO "
        "8601 with T or a space, any fraction, and Z, an offset or none, which is UTC.",
        title="a list of patterns such as `yyyy-MM-dd HH:mm:ss`, or `iso`",
    )
    default: Scalar | None = Field(
        default=None, description="Replaces a missing or unreadable value.", title="a value"
    )
    rescue: bool = Field(
        default=False, description="Keep the text of an unreadable value in _rescued_data."
    )


class Parse(Frozen):
    """Parses JSON text into a struct, an array or a map."""

    schema_: DdlText = Field(alias="schema", description="The fields in it, or its type, as DDL.")
    rest: Identifier | None = Field(
        default=None,
        description="With fields: an extra field, map<string,string>, for keys that are not "
        "declared; unset, a text with such keys is kept in _rescued_data.",
    )


class Watermark(Frozen):
    """How late a row may be."""

    column: Identifier = Field(description="The column of the row's event time.")
    delay: Time = Field(description="How far behind the newest event time a row may be.")
    late: Literal["drop", "quarantine"] = Field(
        default="quarantine", description="What happens to a later row; it is counted either way."
    )


class Dedupe(Frozen):
    """Removes duplicate rows."""

    keys: OneOrMoreNames | None = Field(
        default=None,
        description="Columns that identify a row, nulls equal; unset, all columns of the source.",
    )
    keep: Literal["first", "lowest", "highest"] = Field(
        default="first",
        description="first: the row that came first; lowest, highest: by order_by, and a better "
        "row replaces one in the table.",
    )
    order_by: Identifier | None = Field(
        default=None, description="With lowest and highest: the column that decides."
    )
    within: Literal["table", "watermark"] = Field(
        default="table",
        description="Where to look for duplicates: in the whole table, or in rows not older than "
        "the watermark.",
    )


class Deletes(Frozen):
    """Rows that delete their key."""

    when: RowSql = Field(description="SQL that is true for such a row.")
    how: Literal["soft", "hard"] = Field(
        default="soft",
        description="soft: the row stays, marked _deleted; hard: it is removed.",
    )


class SilverTable(Frozen):
    """A table of cleaned and enriched rows."""

    from_: SilverInput = Field(alias="from", description="Table to read, as a stream.")
    where: RowSql | None = Field(
        default=None, description="Rows to keep; the others are filtered out and counted."
    )
    envelope: Envelope | None = Field(
        default=None, description="The rows are messages of change data capture."
    )
    parse: dict[
        Identifier,
        Annotated[Parse, BeforeValidator(_schema_alone, json_schema_input_type=str | Parse)],
    ] = Field(
        default={},
        description="Columns of JSON text, and the schema of that JSON.",
        title="a mapping of names to DDL",
    )
    explode: dict[Identifier, Identifier] = Field(
        default={},
        max_length=1,
        description="New column to array column: each element of the array becomes a row.",
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
        description="Columns to cast, by name.",
        title="a mapping of names to types",
    )
    lookups: tuple[Lookup, ...] = Field(
        default=(), description="Dimensions to join, in this order.", title="a list of lookups"
    )
    columns: dict[Identifier, RowSql] = Field(
        default={},
        description="Columns to compute, by name, after the lookups; each can use those before it.",
        title="a mapping of names to SQL",
    )
    expect: dict[Identifier, Expectation] = Field(
        default={}, description="Rules for rows, by name.", title="a mapping of rules"
    )
    watermark: Watermark | None = Field(default=None, description="How late a row may be.")
    dedupe: Dedupe | None = Field(default=None, description="Removes duplicate rows.")
    write: Literal["append", "upsert", "scd2", "snapshot"] = Field(
        default="append",
        description="append: add rows; upsert: one row for each key; scd2: one row for each "
        "change of a key; snapshot: the rows are full dumps.",
    )
    keys: OneOrMoreNames | None = Field(
        default=None, description="With upsert and scd2: the columns that identify a row."
    )
    sequence: Identifier | None = Field(
        default=None,
        description="With upsert and scd2: the column that grows with each change of a key.",
    )
    deletes: Deletes | None = Field(
        default=None, description="With upsert and scd2: rows that delete their key."
    )
    snapshot: Snapshot | None = Field(
        default=None,
        description="With snapshot: what is a dump, and how dumps are applied.",
    )
    apply_changes: ApplyChanges | None = Field(
        default=None,
        description="In place of `write`: the rows are changes, which are applied by key and "
        "sequence (AUTO CDC).",
    )
    select: SelectNames | None = Field(
        default=None,
        description="The table's columns, in this order, with their current types; a column "
        "with a `?` after it is added once the source has it.",
    )
    schema_: DdlText | None = Field(
        default=None,
        alias="schema",
        description="Instead of select: the table's columns, with their types.",
    )

    surrogate_key: Identifier | None = Field(
        default=None,
        description="With upsert and scd2: a unique bigint column, first in the table; a key (and "
        "validity) keeps its value when the table is rebuilt.",
    )
    unknown_member: dict[Identifier, Scalar] | None = Field(
        default=None,
        min_length=1,
        description="With upsert and scd2: the values of a row for unknown keys; "
        "`on_miss: unknown` uses it.",
        title="a mapping of names to values",
    )
    on_rescued: Annotated[Literal["quarantine", "null"], BeforeValidator(null_as_word)] = Field(
        default="quarantine",
        description="What happens to a row whose key or event time, or whose column that a lookup "
        "or a rule reads, has a rescued value; null treats the value as missing.",
    )
    on_source_change: OnSourceChange = Field(
        default="fail",
        description="If rows of its source are deleted or updated by another program: fail until "
        "the table is rebuilt, or keep the rows that were made of them.",
    )
    on_all_aside: AllAside | None = Field(
        default=None, description="Overrides the pipeline's on_all_aside."
    )
    layout: Layout = Field(
        default_factory=Layout, description="Partitions, clustering and properties of the table."
    )

    @property
    def selected(self) -> dict[str, bool]:
        """The names of `select`, in order; True for columns that the rows must have."""
        return {name.removesuffix("?"): not name.endswith("?") for name in self.select or ()}

    @property
    def dimensions(self) -> tuple[TableRef, ...]:
        """Tables that its lookups and rules read, each once."""
        referred = [rule.references.table for rule in self.expect.values() if rule.references]
        return tuple(dict.fromkeys([*(lookup.table for lookup in self.lookups), *referred]))

    @property
    def changes_rows(self) -> bool:
        """Whether a batch may change existing rows."""
        by_order = self.dedupe is not None and self.dedupe.keep != "first"
        return by_order or self.write != "append" or self.apply_changes is not None

    @property
    def how_written(self) -> str:
        """The key and value that say how a batch changes the table, such as `write: upsert`."""
        if self.apply_changes:
            return f"apply_changes as SCD type {self.apply_changes.stored_as_scd_type}"
        if self.snapshot:
            return f"write: snapshot as SCD type {self.snapshot.stored_as_scd_type}"
        return f"write: {self.write}"

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns of the key by which rows are written; empty if there is none."""
        applied = self.apply_changes or self.snapshot
        return self.keys or (applied.keys if applied else ())

    @property
    def sequence_columns(self) -> tuple[str, ...]:
        """The columns that order the changes of a key; empty if there is none."""
        if self.apply_changes:
            return self.apply_changes.sequence_by
        return (self.sequence,) if self.sequence else ()

    @property
    def kinds_of_change(self) -> tuple[str, ...]:
        """SQL over the row that says what kind of change it is: a delete, a truncate."""
        applied = self.apply_changes
        found = (
            self.deletes.when if self.deletes else None,
            applied.apply_as_deletes if applied else None,
            applied.apply_as_truncates if applied else None,
        )
        return tuple(filter(None, found))

    @model_validator(mode="before")
    @classmethod
    def _go_together(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for wrong, reason in _contradictions(data):
                if wrong:
                    raise refused(reason)
        return data


def _contradictions(data: Mapping[str, Any]) -> list[tuple[bool, str]]:
    keyed = data.get("write", "append") in ("upsert", "scd2")
    has = {key for key, value in data.items() if value is not None}
    dedupe = data.get("dedupe") if isinstance(data.get("dedupe"), Mapping) else {}
    assert isinstance(dedupe, Mapping)
    by_order = dedupe.get("keep", "first") in ("lowest", "highest")
    beside = sorted({"write", "dedupe", *_OF_KEYED} & has) if "apply_changes" in has else []
    return [
        (
            (data.get("write") == "snapshot") != ("snapshot" in has),
            "`write: snapshot` and `snapshot` go together: give both",
        ),
        (
            "snapshot" in has and bool({"dedupe", "apply_changes", "watermark"} & has),
            "`dedupe`, `watermark` and `apply_changes` cannot stand beside `snapshot`, of which "
            "each dump is the whole of a table",
        ),
        (
            "snapshot" in has and "hold" in _misses(data),
            "a dump cannot wait for a dimension: `on_miss: hold` does not go with `snapshot`",
        ),
        (
            bool(beside),
            f"{', '.join(f'`{key}`' for key in beside)} cannot stand beside `apply_changes`, which "
            "says how rows are written",
        ),
        (
            _get(data, "apply_changes", "transactional") is True
            and not _get(data, "envelope", "tables"),
            "`apply_changes.transactional` needs an `envelope` of format debezium with `tables`: "
            "the changed tables as the marks of transactions name them, such as public.orders",
        ),
        (
            bool(_get(data, "envelope", "tables"))
            and _get(data, "apply_changes", "transactional") is not True,
            "`envelope.tables` is for `apply_changes.transactional: true`; to read only some "
            "tables of a topic, use `where`",
        ),
        (
            bool(_get(data, "envelope", "tables")) and _get(data, "envelope", "format") == "plain",
            "only messages of Debezium have transactions: `envelope.tables` does not go with "
            "`format: plain`",
        ),
        ({"select", "schema"} <= has, "`select` and `schema` both name the columns: give only one"),
        (keyed and not {"keys", "sequence"} <= has, "upsert and scd2 need `keys` and `sequence`"),
        (
            not keyed and not beside and bool(_OF_KEYED & has),
            f"{', '.join(f'`{key}`' for key in sorted(_OF_KEYED))} need `write: upsert` or `scd2`",
        ),
        (keyed and "dedupe" in has, "upsert and scd2 remove duplicates by key; remove `dedupe`"),
        (by_order and "order_by" not in dedupe, "dedupe: lowest and highest need `order_by`"),
        (by_order and "keys" not in dedupe, "dedupe: lowest and highest need `keys`"),
        (
            dedupe.get("within") == "watermark" and "watermark" not in has,
            "dedupe: `within: watermark` needs a `watermark`",
        ),
    ]


def _get(data: Mapping[str, Any], section: str, key: str) -> object:
    """The value of a key in a section that may be missing, or no mapping at all."""
    found = data.get(section)
    return found.get(key) if isinstance(found, Mapping) else getattr(found, key, None)


def _misses(data: Mapping[str, Any]) -> set[object]:
    lookups = data.get("lookups")
    found = lookups if isinstance(lookups, list | tuple) else ()
    return {lookup.get("on_miss") for lookup in found if isinstance(lookup, Mapping)}
