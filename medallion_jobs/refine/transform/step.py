"""One declared step on a row's way to silver."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Step:
    """A transform, and the key of the config that declares it.

    Attributes:
        key: below the table, such as `columns.order_date`; mistakes are told at its line.
        said: what stands there, as text.
        apply: rows in, rows out; native expressions only, no action, no I/O.
    """

    key: str
    said: str
    apply: Callable[[DataFrame], DataFrame]


def applied(rows: DataFrame, steps: Iterable[Step]) -> DataFrame:
    """The rows after all steps, in order."""
    for step in steps:
        rows = step.apply(rows)
    return rows
