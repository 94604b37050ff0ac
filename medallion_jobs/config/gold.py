"""What a gold table holds: groups, measures, periods, and how the table follows its source."""

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

# HyperLogLog++ knows no larger one; for a much smaller one, a sketch is megabytes a group.
_USUAL_ERROR, _LEAST_ERROR, _MOST_ERROR = 0.05, 0.001, 0.39


def _sql_alone(value: object) -> object:
    return {"sql": value} if isinstance(value, str) else value


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise refused("no time zone of that name; such as `Europe/Madrid` or `UTC`") from None
    return name


class Measure(Frozen):
    """One aggregate: a text of SQL, or the column and what is made of it."""

    sql: GroupSql | None = Field(default=None, description="Any aggregate, as Spark SQL.")
    sum: RowSql | None = Field(default=None, description="The sum of this; nulls left out.")
    count: RowSql | None = Field(
        default=None, description="How many rows have this, not null; `*` counts all."
    )
    count_distinct: RowSql | None = Field(
        default=None, description="How many different values, exactly; nulls left out."
    )
    approx_count_distinct: RowSql | None = Field(
        default=None, description="About how many different values (HyperLogLog++)."
    )
    min: RowSql | None = Field(default=None, description="The smallest.")
    max: RowSql | None = Field(default=None, description="The largest.")
    avg: RowSql | None = Field(default=None, description="The mean; nulls left out.")
    first: RowSql | None = Field(default=None, description="Of the row that is first by `by`.")
    last: RowSql | None = Field(default=None, description="Of the row that is last by `by`.")
    by: OneOrMoreNames | None = Field(
        default=None,
        description="With first and last: columns that order the rows; rows with a null in one "
        "are left out.",
    )
    where: RowSql | None = Field(default=None, description="Rows that count for it.")
    error: Share = Field(
        default=_USUAL_ERROR,
        description="With approx_count_distinct: the relative standard deviation allowed.",
    )

    @property
    def kind(self) -> Kind | None:
        """Which of the declared kinds it is; None where it is a text of SQL."""
        return next((kind for kind in KINDS if getattr(self, kind) is not None), None)

    @property
    def of(self) -> str:
        """The expression that it is made of."""
        text = self.sql if self.kind is None else getattr(self, self.kind)
        assert isinstance(text, str)  # `_one_kind` saw to it
        return text

    @model_validator(mode="after")
    def _one_kind(self) -> Measure:
        for wrong, why in self._contradictions():
            if wrong:
                raise refused(why)
        return self

    def _contradictions(self) -> list[tuple[bool, str]]:
        given = [kind for kind in ("sql", *KINDS) if getattr(self, kind) is not None]
        ordered = self.kind in ("first", "last")
        approximate = self.kind == "approx_count_distinct"
        return [
            (len(given) != 1, f"give one of sql, {', '.join(KINDS)}"),
            (ordered and self.by is None, "first and last need `by`"),
            (not ordered and self.by is not None, "`by` belongs to first and last"),
            (
                self.sql is not None and self.where is not None,
                "say `FILTER (WHERE …)` in the SQL itself",
            ),
            (
                self.kind not in (None, "count") and self.of.strip() == "*",
                "`*` belongs to count",
            ),
            (
                not approximate and self.error != _USUAL_ERROR,
                "`error` belongs to approx_count_distinct",
            ),
            (
                approximate and not _LEAST_ERROR <= self.error <= _MOST_ERROR,
                f"`error` is from {_LEAST_ERROR:.1%} to {_MOST_ERROR:.0%}; for none, take "
                "count_distinct",
            ),
        ]


class Period(Frozen):
    """Rows grouped by when they happened, by the clock of the business."""

    of: RowSql = Field(description="The row's moment: a timestamp.")
    by: Literal["hour", "day", "week", "month", "session"] = Field(
        description="hour: its first moment; day, week (from Monday), month: its first date; "
        "session: rows with no gap between them, from session_start to session_end."
    )
    name: Identifier | None = Field(
        default=None, description="The period's column; unset, the word in `by`."
    )
    gap: Time | None = Field(default=None, description="With session: a silence that ends one.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that tell its periods apart."""
        name = self.name or self.by
        return (f"{name}_start", f"{name}_end") if self.by == "session" else (name,)

    @model_validator(mode="after")
    def _gap_of_session(self) -> Period:
        if (self.by == "session") != (self.gap is not None):
            raise refused("session needs a `gap`, and the other periods have none")
        return self


class GoldTable(Frozen):
    """Rows aggregated."""

    from_: GoldInput = Field(alias="from", description="Table to read, as a stream.")
    where: RowSql | None = Field(default=None, description="Rows to aggregate.")
    group_by: Names | None = Field(default=None, description="Columns to group by.")
    period: Period | None = Field(
        default=None, description="Group by a time, too; rows without one are the group of null."
    )
    time_zone: Annotated[
        str, Field(title="a time zone such as `Europe/Madrid`"), AfterValidator(_known_zone)
    ] = Field(default="UTC", description="With period: whose days and hours they are.")
    measures: dict[
        Identifier,
        Annotated[Measure, BeforeValidator(_sql_alone, json_schema_input_type=str | Measure)],
    ] = Field(
        min_length=1,
        description="Aggregates, by the name of their column.",
        title="a mapping of names to SQL or to measures, one or more",
    )
    columns: dict[Identifier, RowSql] = Field(
        default={},
        description="Columns to compute from the group's columns and measures, each also from "
        "those before it.",
        title="a mapping of names to SQL",
    )
    mode: Literal["complete", "incremental"] = Field(
        default="complete",
        description="complete: each batch writes the table anew; incremental: only the groups "
        "that its rows touch, and rows may change or go.",
    )
    layout: Layout = Field(default_factory=Layout, description="How the table lies on disk.")
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
            raise refused("sessions need `group_by`: whose they are")
        if self.period is None and self.time_zone != "UTC":
            raise refused("`time_zone` belongs to `period`")
        if self.mode == "incremental" and _VECTORS in map(str.casefold, self.layout.properties):
            raise refused("incremental mode writes deletion vectors; leave them as they are")
        if twice:
            raise refused(f"two columns of the table would be named {twice}")
        return self
