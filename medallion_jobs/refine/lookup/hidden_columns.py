"""Names of the hidden columns of lookups; each has a space, which no column of a table has."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import Column

# When a row that was released from hold was parked first; null for a fresh row.
HELD_SINCE = "held since"

# Columns of a dimension's side of the join.
VALID_FROM, VALID_TO = "dimension from", "dimension to"
VERSIONS = "dimension versions"


def miss(place: int) -> str:
    """True where the lookup at this place of the list found nothing; never null."""
    return f"miss {place}"


def missed(place: int) -> str:
    """What was looked for in vain: struct<key: string, said: string>; null where it was found."""
    return f"missed {place}"


def key(number: int) -> str:
    """The key column that stands at this place of the lookup's `on`."""
    return f"dimension key {number}"


def taken(name: str) -> str:
    """A column that is fetched, by its name in the dimension."""
    return f"dimension column {name}"


def all_of(conditions: Iterable[Column]) -> Column:
    return reduce(and_, conditions, F.lit(True))


def any_of(conditions: Iterable[Column]) -> Column:
    return reduce(or_, conditions, F.lit(False))
