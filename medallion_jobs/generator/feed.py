"""What a feed of synthetic data is; each feed is one small package beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class FileOrder:
    """What is wanted of one file.

    Args:
        number: which file of the run this is, from 1.
        lines: how many lines it holds.
        now: the moment the file is written, UTC; its events lie in the hour before.
        customers: ids of known customers go from 1 to this number.
        dirty: the share of spoiled lines, 0 to 1.
        new_column: whether each line carries the feed's new column.
    """

    number: int
    lines: int
    now: datetime
    customers: int
    dirty: float = 0.0
    new_column: bool = False


@dataclass(frozen=True, kw_only=True)
class MadeFile:
    """One file, not yet written.

    Args:
        name: its name in the landing folder.
        content: its bytes; each line ends in a newline.
        counts: lines of each kind; `clean` and the feed's kinds add up to all lines.
        new_column: lines that are JSON objects and carry the new column.
    """

    name: str
    content: bytes
    counts: Mapping[str, int]
    new_column: int


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
        """The pipeline it feeds and the bronze table whose folder it fills."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of dirt it knows."""

    def make(self, order: FileOrder, rng: Random) -> MadeFile:
        """Makes one file from an order and its random numbers."""

    def dimensions(self, customers: int) -> Sequence[Dimension]:
        """The dimensions with that many customers.

        Raises:
            UsageError: too few customers.
        """
