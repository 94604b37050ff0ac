"""What an expectation holds: one check of rows, and what becomes of a row that breaks it."""

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
    """A rule that rows keep; each has one kind of check."""

    check: RowSql | None = Field(
        default=None, description="SQL that is true of a good row; null is not true."
    )
    not_null: OneOrMoreNames | None = Field(default=None, description="Columns that are not null.")
    not_rescued: OneOrMoreNames | None = Field(
        default=None,
        description="Columns whose value fit its type, or is missing: nothing of it was rescued.",
    )
    unique: OneOrMoreNames | None = Field(
        default=None,
        description="Columns whose values no other row has, of the batch or of the table.",
    )
    in_set: dict[Identifier, tuple[Scalar, ...]] | None = Field(
        default=None, description="By column, the values it may have.", title="a mapping of lists"
    )
    references: Reference | None = Field(
        default=None, description="A key that must be in a dimension."
    )
    matches: dict[Identifier, str] | None = Field(
        default=None,
        description="By column, a Java pattern that all of its text fits.",
        title="a mapping of patterns",
    )
    between: dict[Identifier, tuple[Scalar, Scalar]] | None = Field(
        default=None,
        description="By column, its smallest and its largest value.",
        title="a mapping of pairs",
    )
    recent: dict[Identifier, Time] | None = Field(
        default=None,
        description="By column, how long before its batch a moment may lie, and never after it.",
        title="a mapping of times",
    )
    otherwise: Literal["warn", "drop", "quarantine", "fail"] = Field(
        default="warn", description="What becomes of a row that breaks it."
    )
    at_most: Share | None = Field(
        default=None,
        description="The share of a batch that may break it; beyond, the batch fails.",
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
                told = " and ".join(given) or "none"
                raise refused(f"a rule has one check of {', '.join(CHECKS)}; here: {told}")
        return data
