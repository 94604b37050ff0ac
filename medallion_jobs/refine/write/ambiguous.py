"""Two different changes of a key with the same sequence: one is kept, the others are quarantined.

Nothing says which of them is right. The table has the one that came first, of one batch the one
of the newest file (`_file_modified`), else the smallest; it is the same as if the others had not
been there. The others are quarantined, where somebody sees them. Changes that are equal in all
that the source gives are duplicates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from medallion_jobs.config import SilverTable
from medallion_jobs.lake import tables
from medallion_jobs.lake.columns import FILE_MODIFIED, RESCUED, RESERVED
from medallion_jobs.lake.hidden_columns import AMBIGUOUS, hidden
from medallion_jobs.lake.tables.scd_columns import DELETED, VALID_FROM
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values.canonical import canonical
from medallion_jobs.refine.transform.rescued import looked_up, names_read
from medallion_jobs.refine.write.dedupe import without_file
from medallion_jobs.refine.write.keyed_batch import by_file, existing, range_of
from medallion_jobs.refine.write.upsert import GONE, VALUES_SEQUENCE, with_gone
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Hidden columns: the sequence of the table's row, and whether there is one.
_AT, _KNOWN = "existing moment", "is in the table"
_FIRST = "first of its moment"


def marked(
    rows: DataFrame,
    table: SilverTable,
    columns: Sequence[str],
    path: Location,
    *,
    version: int,
    is_good: Column,
    among_each_other: bool,
) -> DataFrame:
    """Sets `AMBIGUOUS` of good rows that are another change than the table's of their sequence.

    Args:
        columns: the columns of a change that the table has.
        version: the version of the table that the rows are compared with.
        is_good: whether a row is to be written.
        among_each_other: compare rows whose key and sequence the table lacks with each other;
            not needed for a version that has them.
    """
    keys, sequence = table.keys or (), table.sequence or ""
    if table.write == "append":
        return rows
    stored = rows.sparkSession.read.format("delta").option("versionAsOf", version).load(str(path))
    # A column that the table got later says nothing about an older version.
    compared = _given(table, stored.columns) - {*keys, sequence}
    own = [c for c in columns if c in compared]
    if not own:
        return rows
    names = rows.columns
    kinds = {c: stored.schema[c].dataType for c in own}
    rows = with_gone(rows, table)
    # Deletes have no values that count, and a delete wins over a change of its moment.
    is_change = is_good & ~col(GONE) & col(sequence).isNotNull()
    within = range_of(rows.where(is_change), keys)
    changes = (
        stored.alias(tables.TARGET)
        .where(within)
        .select(
            *(col(k).alias(existing(k)) for k in keys),
            *(_comparable(c, kinds[c]).alias(existing(c)) for c in own),
            _moment(table).alias(_AT),
            F.lit(True).alias(_KNOWN),
        )
        .where(col(_AT).isNotNull())
    )
    same = [col(k).eqNullSafe(col(existing(k))) for k in keys]
    alike = reduce(and_, [*same, col(sequence) == col(_AT), is_change])
    rows = rows.join(changes, alike, "left")
    new = {c: _comparable(c, kinds[c], cast=True) for c in own}
    others = _others({c: (new[c], col(existing(c))) for c in own})
    found = F.when(col(_KNOWN), others)
    moment = Window.partitionBy(*(col(k) for k in keys), col(sequence), is_change, col(_KNOWN))
    if among_each_other:
        order = [*by_file(rows), *(new[c].asc_nulls_last() for c in own)]
        first = F.first(F.struct(*(new[c].alias(c) for c in own))).over(moment.orderBy(*order))
        rows = rows.withColumn(_FIRST, first)
        of_batch = _others({c: (new[c], col(_FIRST).getField(c)) for c in own})
        found = F.coalesce(found, F.when(is_change & col(_KNOWN).isNull(), of_batch))
    if FILE_MODIFIED in names:
        # The order of the files decides between changes of one batch.
        newest = F.max(col(FILE_MODIFIED)).over(moment)
        found = F.when(F.coalesce(col(FILE_MODIFIED) >= newest, F.lit(True)), found)
    return rows.withColumn(AMBIGUOUS, found).select(*(col(name) for name in names))


def reason(table: SilverTable) -> Column:
    """Why a row is quarantined under the rule `ambiguous_sequence`."""
    names = [*(table.keys or ()), *([table.sequence] if table.sequence else [])]
    values = [
        F.concat(F.lit(f"{name}="), F.coalesce(col(name).cast("string"), F.lit("null")))
        for name in names
    ]
    return F.concat(
        F.concat_ws(", ", *values),
        F.lit(": another change has the same sequence, and other values of "),
        hidden(AMBIGUOUS),
    )


def _given(table: SilverTable, columns: Sequence[str]) -> set[str]:
    """The columns that the source gives, or that are computed from nothing else.

    A change that is delivered again has other values of the rest: its file, its load time, what
    a dimension has by now.
    """
    technical = {name for name in RESERVED if name != RESCUED}
    others = {table.rename.get(name, name).lower() for name in technical}
    others |= {name.lower() for name in looked_up(table)}
    for name, sql in table.columns.items():
        read = {names[0].lower() for names in names_read(sql)}
        others = others | {name.lower()} if read & others else others - {name.lower()}
    return {name for name in columns if name.lower() not in others}


def _comparable(name: str, kind: object, *, cast: bool = False) -> Column:
    value = col(name).cast(kind) if cast else col(name)  # type: ignore[arg-type]
    return without_file(value) if name == RESCUED else canonical(value, kind)  # type: ignore[arg-type]


def _others(pairs: dict[str, tuple[Column, Column]]) -> Column:
    """The names of columns whose two values differ; null if there are none."""

    def differing() -> Iterator[Column]:
        for name, (one, other) in pairs.items():
            yield F.when(~one.eqNullSafe(other), F.lit(name))

    names = F.concat_ws(", ", *differing())
    return F.when(names != "", names)


def _moment(table: SilverTable) -> Column:
    """The sequence of the change that a row of the table has; null if it has none."""
    is_soft = table.deletes is not None and table.deletes.how == "soft"
    if table.write == "scd2":
        return (
            F.when(~F.coalesce(col(DELETED), F.lit(False)), col(VALID_FROM))
            if is_soft
            else col(VALID_FROM)
        )
    sequence = col(table.sequence or "")
    return F.when(col(DELETED), col(VALUES_SEQUENCE)).otherwise(sequence) if is_soft else sequence
