"""What a feed of synthetic data is; each feed is one small package beside this file."""

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
        table: the bronze table in whose landing folder it belongs.
        name: its name there.
        content: its bytes; each line ends in a newline.
        counts: lines of each kind; `clean` and the feed's kinds add up to all lines.
        new_column: lines that are JSON objects and carry the new column.
        repeats: lines that say again what another one said, because that is how the feed
            delivers; counted before any were spoiled.
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
        rows: what the table starts with.
    """

    name: str
    key: str
    rows: pa.Table


class Feed(Protocol):
    """A source of synthetic files and of the dimensions they refer to."""

    @property
    def name(self) -> str:
        """The pipeline it feeds."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The bronze tables whose folders it fills, the one of the events first."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of dirt it knows."""

    def make(self, plan: Plan, number: int) -> Sequence[MadeFile]:
        """Makes what file `number` of a plan brings, from 1: one file of events, the last.

        Files of dimensions that the events refer to come before it.
        """

    def dimensions(self, customers: int) -> Sequence[Dimension]:
        """The dimensions that are seeded as tables, with that many customers.

        Raises:
            UsageError: too few customers.
        """
