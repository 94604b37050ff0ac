"""The keys of a gold table: groups, measures, periods, and how it follows its source."""

from __future__ import annotations

from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from medallion_jobs.config.fields import (
    GoldInput,
    GroupSql,
    Identifier,
    Names,
    OneOrMoreNames,
    OnSourceChange,
    RowSql,
    Share,
    Time,
    refused,
)
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.layout import Layout
from medallion_jobs.config.sinks import Sink

_VECTORS = "delta.enabledeletionvectors"

Kind = Literal[
    "sum", "count", "count_distinct", "approx_count_distinct", "min", "max", "avg", "first", "last"
]
KINDS: tuple[Kind, ...] = get_args(Kind)

# HyperLogLog++ allows no larger error; with a much smaller one, each sketch takes megabytes.
_USUAL_ERROR, _LEAST_ERROR, _MOST_ERROR = 0.05, 0.001, 0.39


def _sql_alone(value: object) -> object:
    return {"sql": value} if isinstance(value, str) else value


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise refused("unknown time zone; use a name such as `Europe/Madrid` or `UTC`") from None
    return name


class Measure(Frozen):
    """One aggregate: SQL text, or a function of a column."""

    sql: GroupSql | None = Field(default=None, description="Any aggregate, as Spark SQL.")
    sum: RowSql | None = Field(default=None, description="The sum; nulls are ignored.")
    count: RowSql | None = Field(
        default=None, description="The number of rows where this is not null; `*` counts all."
    )
    count_distinct: RowSql | None = Field(
        default=None, description="The exact number of distinct values; nulls are ignored."
    )
    approx_count_distinct: RowSql | None = Field(
        default=None, description="The approximate number of distinct values (HyperLogLog++)."
    )
    min: RowSql | None = Field(default=None, description="The smallest value.")
    max: RowSql | None = Field(default=None, description="The largest value.")
    avg: RowSql | None = Field(default=None, description="The mean; nulls are ignored.")
    first: RowSql | None = Field(
        default=None, description="The value in the first row, ordered by `by`."
    )
    last: RowSql | None = Field(
        default=None, description="The value in the last row, ordered by `by`."
    )
    by: OneOrMoreNames | None = Field(
        default=None,
        description="With first and last: columns that order the rows; rows with a null in any "
        "of them are ignored.",
    )
    where: RowSql | None = Field(default=None, description="Rows to aggregate in this measure.")
    error: Share = Field(
        default=_USUAL_ERROR,
        description="With approx_count_distinct: the relative standard deviation allowed.",
    )

    @property
    def kind(self) -> Kind | None:
        """The function, one of `KINDS`; None for SQL text."""
        return next((kind for kind in KINDS if getattr(self, kind) is not None), None)

    @property
    def of(self) -> str:
        """The SQL expression that it aggregates, or the whole aggregate of SQL text."""
        text = self.sql if self.kind is None else getattr(self, self.kind)
        assert isinstance(text, str)  # `_one_kind` has checked
        return text

    @model_validator(mode="after")
    def _one_kind(self) -> Measure:
        for wrong, reason in self._contradictions():
            if wrong:
                raise refused(reason)
        return self

    def _contradictions(self) -> list[tuple[bool, str]]:
        given = [kind for kind in ("sql", *KINDS) if getattr(self, kind) is not None]
        ordered = self.kind in ("first", "last")
        approximate = self.kind == "approx_count_distinct"
        return [
            (len(given) != 1, f"give exactly one of sql, {', '.join(KINDS)}"),
            (ordered and self.by is None, "first and last need `by`"),
            (not ordered and self.by is not None, "`by` is only for first and last"),
            (
                self.sql is not None and self.where is not None,
                "use `FILTER (WHERE …)` in the SQL itself",
            ),
            (
                self.kind not in (None, "count") and self.of.strip() == "*",
                "`*` is only for count",
            ),
            (
                not approximate and self.error != _USUAL_ERROR,
                "`error` is only for approx_count_distinct",
            ),
            (
                approximate and not _LEAST_ERROR <= self.error <= _MOST_ERROR,
                f"`error` must be from {_LEAST_ERROR:.1%} to {_MOST_ERROR:.0%}; for an exact "
                "number, use count_distinct",
            ),
        ]


class Period(Frozen):
    """Groups rows by event time, in the time zone of the business."""

    of: RowSql = Field(description="The row's event time: a timestamp.")
    by: Literal["hour", "day", "week", "month", "session"] = Field(
        description="The period; hour: its start as a timestamp; day, week (from Monday), month: "
        "its first date; session: rows less than `gap` apart, from session_start to session_end."
    )
    name: Identifier | None = Field(
        default=None, description="Name of the period's column; unset, the value of `by`."
    )
    gap: Time | None = Field(
        default=None, description="With session: time without rows that ends a session."
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that identify a period."""
        name = self.name or self.by
        return (f"{name}_start", f"{name}_end") if self.by == "session" else (name,)

    @model_validator(mode="after")
    def _gap_of_session(self) -> Period:
        if (self.by == "session") != (self.gap is not None):
            raise refused("session needs a `gap`; the other periods take none")
        return self


class GoldTable(Frozen):
    """A table of aggregated rows."""

    from_: GoldInput = Field(alias="from", description="Table to read, as a stream.")
    where: RowSql | None = Field(default=None, description="Rows to aggregate.")
    group_by: Names | None = Field(default=None, description="Columns to group by.")
    period: Period | None = Field(
        default=None, description="Also group by time; rows without a time form the null group."
    )
    time_zone: Annotated[
        str, Field(title="a time zone such as `Europe/Madrid`"), AfterValidator(_known_zone)
    ] = Field(default="UTC", description="With period: the time zone of its days and hours.")
    measures: dict[
        Identifier,
        Annotated[Measure, BeforeValidator(_sql_alone, json_schema_input_type=str | Measure)],
    ] = Field(
        min_length=1,
        description="Aggregates, by column name.",
        title="a mapping of names to SQL or to measures, one or more",
    )
    columns: dict[Identifier, RowSql] = Field(
        default={},
        description="Columns to compute from the group's columns and measures; each can use "
        "those before it.",
        title="a mapping of names to SQL",
    )
    mode: Literal["complete", "incremental"] = Field(
        default="complete",
        description="complete: each batch rewrites the whole table; incremental: only the groups "
        "that its rows touch, and source rows may change or be deleted.",
    )
    on_source_change: OnSourceChange = Field(
        default="fail",
        description="With complete: if rows of its source are deleted or updated by another "
        "program: fail until the table is rebuilt, or keep the values that were made of them.",
    )
    layout: Layout = Field(
        default_factory=Layout, description="Partitions, clustering and properties of the table."
    )
    sinks: tuple[Sink, ...] = Field(
        default=(), description="Databases to load the table into.", title="a list of sinks"
    )

    @property
    def _named(self) -> list[str]:
        period = self.period.columns if self.period else ()
        return [*(self.group_by or ()), *period, *self.measures, *self.columns]

    @model_validator(mode="after")
    def _go_together(self) -> GoldTable:
        names = [name.casefold() for name in self._named]
        twice = next((name for name in names if names.count(name) > 1), None)
        by_session = self.period is not None and self.period.by == "session"
        if self.group_by is None and self.period is None:
            raise refused("give `group_by`, `period` or both")
        if by_session and self.group_by is None:
            raise refused("sessions need `group_by`, such as a user or a device")
        if self.period is None and self.time_zone != "UTC":
            raise refused("`time_zone` needs a `period`")
        if self.mode == "incremental" and _VECTORS in map(str.casefold, self.layout.properties):
            raise refused("incremental mode needs deletion vectors; do not set this property")
        if self.mode == "incremental" and self.on_source_change == "keep":
            raise refused("incremental mode follows its source; remove `on_source_change`")
        if twice:
            raise refused(f"two columns of the table would be named {twice}")
        return self
