"""Measures: aggregates declared as SQL, by group."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Quoted text, which means what it says to the letter, or a run of anything else.
_PIECE = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`)|([^'"`]+|['"`])""", re.DOTALL)


def by_group(rows: DataFrame, group_by: Sequence[str], measures: Mapping[str, str]) -> DataFrame:
    """One row a group: the group's columns, then each measure under its name.

    Args:
        measures: name to SQL aggregate, such as `{"total_quantity": "sum(quantity)"}`.
    """
    return rows.groupBy(*group_by).agg(*[F.expr(sql).alias(name) for name, sql in measures.items()])


def normalised(sql: str) -> str:
    """An expression without what does not matter to its meaning: letter case and white space.

    >>> normalised(" SUM( quantity )")
    'sum(quantity)'
    >>> normalised("count_if(state = 'OK')")
    "count_if(state='OK')"
    """

    def piece(match: re.Match[str]) -> str:
        quoted, plain = match.groups()
        if quoted:
            return str(quoted)
        words = re.sub(r"\s+", " ", plain.casefold())
        return re.sub(r"\s*([^\w\s])\s*", r"\1", words)

    return _PIECE.sub(piece, sql.strip())
