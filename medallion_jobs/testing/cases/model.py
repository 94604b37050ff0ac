"""What a file of cases says, once it has no mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pyspark.sql.types import StructType

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.config.tree import Node, Origin

Row = Mapping[str, Node]
Kind = Literal["table", "quarantine", "held"]


@dataclass(frozen=True)
class Given:
    """What a step puts into one table.

    Attributes:
        rows: as they are written; they are put into the table itself.
        columns: of the table, with their types; None if its files decide about them.
        files: by name, what is landed for a bronze table.
    """

    table: TableRef
    rows: tuple[Row, ...]
    columns: StructType | None
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def is_landed(self) -> bool:
        """Whether the job of the bronze table reads it, as files."""
        return bool(self.files) or self.columns is None


@dataclass(frozen=True)
class Target:
    """Where rows are expected: a table, its quarantine, or its held rows."""

    table: TableRef
    kind: Kind = "table"

    def __str__(self) -> str:
        return str(self.table) if self.kind == "table" else f"{self.kind}.{self.table}"


@dataclass(frozen=True)
class Expected:
    """What a step expects of a table.

    Attributes:
        rows: as they are written; None if only their count matters.
        count: how many rows there are; None if `rows` has them all.
        all_columns: whether the table may have no column that no row names.
    """

    target: Target
    rows: tuple[Row, ...] | None
    count: int | None
    all_columns: bool
    origin: Origin

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are compared, unless all are."""
        return tuple(dict.fromkeys(name for row in self.rows or () for name in row))


@dataclass(frozen=True)
class Step:
    """Rows that arrive together, and what must then be true.

    Attributes:
        at: the time of the step, in UTC.
        error: the code of the error with which the run must end; empty if it must succeed.
    """

    at: datetime
    given: tuple[Given, ...]
    expect: tuple[Expected, ...]
    error: str


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        config: the pipeline as its file has it, with the settings of the case.
    """

    file: Path
    line: int
    name: str
    config: Pipeline
    steps: Sequence[Step]

    @property
    def expects_nothing(self) -> bool:
        """Whether the case has nothing to compare yet."""
        return not any(step.expect or step.error for step in self.steps)


# Rows of a table, and the types of their columns.
Found = tuple[list[dict[str, Any]], StructType]
