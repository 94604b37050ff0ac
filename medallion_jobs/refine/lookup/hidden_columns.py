"""Names of the hidden columns of lookups: each has a space, which no table column has."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import Column

# When a held row was first parked; null for a row from the source.
HELD_SINCE = "held since"

# Columns of a dimension's side of the join.
VALID_FROM, VALID_TO = "dimension from", "dimension to"
VERSIONS = "dimension versions"


def miss(place: int) -> str:
    """True if the lookup at this index found no match; never null."""
    return f"miss {place}"


def missed(place: int) -> str:
    """The key without a match, struct<key: string, text: string>; null if there was a match."""
    return f"missed {place}"


def key(number: int) -> str:
    """The key column at this index of the lookup's `on`."""
    return f"dimension key {number}"


def taken(name: str) -> str:
    """A taken column, by its name in the dimension."""
    return f"dimension column {name}"


def all_of(conditions: Iterable[Column]) -> Column:
    return reduce(and_, conditions, F.lit(True))


def any_of(conditions: Iterable[Column]) -> Column:
    return reduce(or_, conditions, F.lit(False))
