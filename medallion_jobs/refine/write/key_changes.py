"""Carries values over from the old key of a row to its new one.

When a key is changed, Debezium sends a delete of the old key and a new row, and names the old key
in a header of the new row's message. Long values that the update did not touch are not sent: they
are those of the row under its old key, as it was just before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.lake.columns import RESCUED
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.write import versions
from medallion_jobs.refine.write.versions import CHANGE, GIVEN, MOVED_FROM, SEQUENCE, VALUES, Part

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Keys that are changed again within one batch: so many times the values are carried on.
_ROUNDS = 3
_NOTE = '{"message": "values that were not sent are unknown: the row had another key before"}'
_MOVE, _BEFORE, _KNOWN = "move", "values before", "known before"


def lacks_values(parts: Sequence[Part]) -> Column:
    """Whether a change is that of a key, and lacks some of these values."""
    lacks = col(GIVEN).isNotNull() & (F.size(col(GIVEN)) < len(parts))
    return col(MOVED_FROM).isNotNull() & lacks


def filled(
    changes: DataFrame, stored: DataFrame, keys: Sequence[str], parts: Sequence[Part]
) -> DataFrame:
    """The changes of a batch, with the values that changes of keys lack.

    Args:
        stored: the change log before the batch.
        parts: as in `versions.current`.
    """
    moves = changes.where(lacks_values(parts))
    old = moves.select(col(MOVED_FROM).alias("key")).join(
        moves.select(F.struct(*map(col, keys)).alias("key")), "key", "left_semi"
    )
    if not old.limit(1).count():
        return _filled_once(changes, stored, keys, parts)
    for _ in range(_ROUNDS):
        # Without its plan, of which the next round would have several copies.
        changes = _filled_once(changes, stored, keys, parts).localCheckpoint()
    return changes


def _filled_once(
    changes: DataFrame, stored: DataFrame, keys: Sequence[str], parts: Sequence[Part]
) -> DataFrame:
    names = (*keys, SEQUENCE, CHANGE, VALUES, GIVEN)
    past = stored.select(*map(col, names)).unionByName(changes.select(*map(col, names)))
    identity = F.struct(*map(col, keys), col(SEQUENCE))
    moves = changes.where(lacks_values(parts)).select(
        identity.alias(_MOVE), col(MOVED_FROM), col(SEQUENCE).alias("moved at")
    )
    same = reduce(and_, (col(key) == col(MOVED_FROM)[key] for key in keys))
    before = past.join(moves, same & (col(SEQUENCE) < col("moved at")))
    rows = versions.current(
        before.select(col(_MOVE), *map(col, names[len(keys) :])), [_MOVE], parts
    )
    rows = rows.withColumnsRenamed({VALUES: _BEFORE, GIVEN: _KNOWN})
    joined = changes.withColumn(_MOVE, F.when(lacks_values(parts), identity)).join(
        rows, _MOVE, "left"
    )
    kind = changes.schema[VALUES].dataType
    assert isinstance(kind, StructType)
    values = F.struct(*(_value(name, parts).alias(name) for name in kind.names))
    unknown = F.when(lacks_values(parts), _unfilled(kind)).otherwise(col(VALUES))
    is_known = col(_BEFORE).isNotNull()
    everything = F.array(*(F.lit(versions.name_of(path)) for path in parts))
    # Null for `_KNOWN`: all are known.
    given = F.array_union(col(GIVEN), col(_KNOWN))
    written = {
        VALUES: F.when(is_known, values).otherwise(unknown),
        GIVEN: F.when(is_known, F.coalesce(given, everything)).otherwise(col(GIVEN)),
    }
    return joined.select(*(written.get(name, col(name)).alias(name) for name in changes.columns))


def _unfilled(kind: StructType) -> Column:
    """The values of a new row whose old one is not known: it says so, where it can."""
    note = F.coalesce(col(VALUES)[RESCUED], F.lit(_NOTE)) if RESCUED in kind.names else None
    return F.struct(
        *(
            (note if name == RESCUED and note is not None else col(VALUES)[name]).alias(name)
            for name in kind.names
        )
    )


def _value(name: str, parts: Sequence[Part]) -> Column:
    """A value of the new row: its own, or that of before if it was not sent."""
    own, before = col(VALUES)[name], col(_BEFORE)[name]
    path = (name,)
    return F.when(versions.gives(path), own).otherwise(before) if path in parts else own
