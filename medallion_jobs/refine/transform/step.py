"""One declared step of the transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Step:
    """A transform, and the config key that declares it.

    Attributes:
        key: the key below the table, such as `columns.order_date`; errors name its line.
        text: the value of the key, as text.
        apply: rows in, rows out; it starts no Spark job and does no I/O.
    """

    key: str
    text: str
    apply: Callable[[DataFrame], DataFrame]


def applied(rows: DataFrame, steps: Iterable[Step]) -> DataFrame:
    """The rows after all steps, in order."""
    for step in steps:
        rows = step.apply(rows)
    return rows
