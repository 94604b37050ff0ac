"""The interface of a feed of synthetic data; each feed is a small package beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from medallion_jobs.generator.plan import Plan


@dataclass(frozen=True, kw_only=True)
class MadeFile:
    """One file, not yet written.

    Args:
        table: the bronze table whose landing folder it belongs in.
        name: its file name.
        content: its bytes; each line ends with a newline.
        counts: number of lines of each kind; `clean` and the feed's kinds add up to all lines.
        new_column: number of lines that are JSON objects with the new column.
        repeats: number of lines that repeat another line, because that is how the feed
            delivers; counted before any line is spoiled.
    """

    table: str
    name: str
    content: bytes
    counts: Mapping[str, int]
    new_column: int = 0
    repeats: int = 0


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """A small table that the feed's events refer to.

    Args:
        name: the table's name in silver.
        key: the column that identifies a row.
        rows: the table's first rows.
    """

    name: str
    key: str
    rows: pa.Table


class Feed(Protocol):
    """A source of synthetic files and of the dimensions they refer to."""

    @property
    def name(self) -> str:
        """The name of the pipeline that it feeds."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The bronze tables whose folders it fills, the one of the events first."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of dirt it knows."""

    def make(self, plan: Plan, number: int) -> Sequence[MadeFile]:
        """Makes the files with a number of a plan, counted from 1.

        The last one has the events. Before it come files of dimensions that events refer to.
        """

    def dimensions(self, customers: int) -> Sequence[Dimension]:
        """The dimensions that are seeded as tables, with that many customers.

        Raises:
            UsageError: too few customers.
        """
