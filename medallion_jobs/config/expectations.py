"""The keys of an expectation: one check of rows, and what happens to a row that breaks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from medallion_jobs.config.fields import (
    Identifier,
    OneOrMoreNames,
    RowSql,
    Scalar,
    Share,
    Time,
    refused,
)
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.lookups import Reference

CHECKS = (
    "check",
    "not_null",
    "not_rescued",
    "unique",
    "in_set",
    "references",
    "matches",
    "between",
    "recent",
)


class Expectation(Frozen):
    """A rule for rows; each has exactly one kind of check."""

    check: RowSql | None = Field(
        default=None, description="SQL that is true for a good row; null counts as false."
    )
    not_null: OneOrMoreNames | None = Field(default=None, description="Columns that are not null.")
    not_rescued: OneOrMoreNames | None = Field(
        default=None,
        description="Columns with no rescued value: each value fits its type or is missing.",
    )
    unique: OneOrMoreNames | None = Field(
        default=None,
        description="Columns whose values are unique in the batch and in the table.",
    )
    in_set: dict[Identifier, tuple[Scalar, ...]] | None = Field(
        default=None, description="By column, the allowed values.", title="a mapping of lists"
    )
    references: Reference | None = Field(
        default=None, description="A key that must be in a dimension."
    )
    matches: dict[Identifier, str] | None = Field(
        default=None,
        description="By column, a Java regular expression that the whole text matches.",
        title="a mapping of patterns",
    )
    between: dict[Identifier, tuple[Scalar, Scalar]] | None = Field(
        default=None,
        description="By column, the smallest and the largest allowed value.",
        title="a mapping of pairs",
    )
    recent: dict[Identifier, Time] | None = Field(
        default=None,
        description="By column, how old a timestamp may be when its batch runs; never later.",
        title="a mapping of durations",
    )
    otherwise: Literal["warn", "drop", "quarantine", "fail"] = Field(
        default="warn", description="What happens to a row that breaks the rule."
    )
    at_most: Share | None = Field(
        default=None,
        description="The share of a batch that may break the rule; above it, the batch fails.",
    )

    @property
    def kind(self) -> str:
        """Which of `CHECKS` it is."""
        return next(kind for kind in CHECKS if getattr(self, kind) is not None)

    @model_validator(mode="before")
    @classmethod
    def _one_check(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            given = [kind for kind in CHECKS if data.get(kind) is not None]
            if len(given) != 1:
                found = " and ".join(given) or "none"
                raise refused(f"a rule has exactly one of {', '.join(CHECKS)}; here: {found}")
        return data
