"""Compares the rows of a table with those that a case expects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pyspark.sql.types import DataType, StringType, StructType

from medallion_jobs.config import Pipeline
from medallion_jobs.config.problems import nearest
from medallion_jobs.testing.cases.model import Expected, Found, Target
from medallion_jobs.testing.cases.values import NotOfTypeError, plain, rounded, typed

Cells = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """A row that differs.

    Attributes:
        kind: `missing`, `unexpected`, or `changed`: a row with its key or most of its values came.
        expected, came: cells by column, in the form of YAML; None if there is no such row.
        line: of the expected row.
    """

    kind: Literal["missing", "unexpected", "changed"]
    expected: Cells | None
    came: Cells | None
    line: int | None = None


@dataclass(frozen=True)
class Difference:
    """How one table differs from what a case expects.

    Attributes:
        line: where the case expects it.
        what: in one sentence.
        columns: those that were compared.
    """

    target: Target
    line: int | None
    what: str
    columns: Sequence[str] = ()
    pairs: Sequence[Pair] = ()


@dataclass(frozen=True)
class _Wanted:
    cells: Cells
    key: tuple[Any, ...]
    line: int | None


def differences(config: Pipeline, expected: Expected, found: Found) -> list[Difference]:
    """What is not as expected; the order of rows does not matter."""
    rows, schema = found
    kinds = {field.name: field.dataType for field in schema}
    line, target = expected.origin.line, expected.target
    result = []
    if expected.count is not None and expected.count != len(rows):
        what = f"{_rows(expected.count)} expected, {_rows(len(rows))} came"
        result.append(Difference(target, line, what))
    if expected.rows is None:
        return result
    names = list(expected.columns)
    if expected.all_columns and kinds:
        names = list(kinds)
    unknown = [name for name in expected.columns if name not in kinds and kinds]
    if unknown:
        return [*result, _no_column(expected, unknown, kinds)]
    names = names or list(kinds)
    wanted, wrong = _wanted(expected, names, kinds)
    if wrong:
        return [*result, *wrong]
    left, over = _unequal(wanted, rows, names, kinds)
    if left or over:
        pairs = list(_paired(left, over, names, kinds, _keys(config, target)))
        compared = f"{_rows(len(wanted))} expected, {_rows(len(rows))} came"
        result.append(
            Difference(target, line, f"{compared}, {len(pairs)} of them differ", names, pairs)
        )
    return result


def _no_column(expected: Expected, unknown: Sequence[str], kinds: Iterable[str]) -> Difference:
    known = list(kinds)
    meant = nearest(unknown[0], known)
    hint = f" (did you mean {meant}?)" if meant else ""
    what = f"no column {', '.join(unknown)}{hint}; it has {', '.join(known)}"
    return Difference(expected.target, expected.origin.line, what)


def _wanted(
    expected: Expected, names: Sequence[str], kinds: Mapping[str, DataType]
) -> tuple[list[_Wanted], list[Difference]]:
    wanted, wrong = [], []
    for row in expected.rows or ():
        cells: dict[str, Any] = {}
        for name in names:
            kind = kinds.get(name, StringType())
            try:
                cells[name] = typed(row[name], kind) if name in row else None
            except NotOfTypeError as error:
                line = error.node.origin.line
                wrong.append(Difference(expected.target, line, f"{name}: {error}"))
        key = _key(cells, names, kinds)
        line = next((node.origin.line for node in row.values()), expected.origin.line)
        wanted.append(_Wanted(cells, key, line))
    return wanted, wrong


def _key(row: Cells, names: Sequence[str], kinds: Mapping[str, DataType]) -> tuple[Any, ...]:
    return tuple(rounded(row.get(name), kinds.get(name, StringType())) for name in names)


def _unequal(
    wanted: Sequence[_Wanted],
    rows: Sequence[Cells],
    names: Sequence[str],
    kinds: Mapping[str, DataType],
) -> tuple[list[_Wanted], list[Cells]]:
    """The expected rows that did not come, and the rows that came and are not expected."""
    came: dict[tuple[Any, ...], list[Cells]] = defaultdict(list)
    for row in rows:
        came[_key(row, names, kinds)].append(row)
    left = []
    for one in wanted:
        if came.get(one.key):
            came[one.key].pop()
        else:
            left.append(one)
    return left, [row for same in came.values() for row in same]


def _paired(
    left: Sequence[_Wanted],
    over: Sequence[Cells],
    names: Sequence[str],
    kinds: Mapping[str, DataType],
    keys: Sequence[str],
) -> Iterable[Pair]:
    """Each expected row with the row that came in its place: of its key, else the most alike."""
    free = {place: _key(row, names, kinds) for place, row in enumerate(over)}
    at_keys = [names.index(key) for key in keys if key in names]
    for one in left:
        expected = _plain(one.cells, names, kinds)

        def alike(place: int, key: tuple[Any, ...] = one.key) -> int:
            other = free[place]
            if at_keys and any(key[at] != other[at] for at in at_keys):
                return 0
            equal = sum(bool(a == b) for a, b in zip(key, other, strict=True))
            return equal + bool(at_keys)

        best = max(free, key=alike, default=None)
        if best is None or not alike(best):
            yield Pair("missing", expected, None, one.line)
            continue
        del free[best]
        yield Pair("changed", expected, _plain(over[best], names, kinds), one.line)
    for place in free:
        yield Pair("unexpected", None, _plain(over[place], names, kinds))


def _plain(row: Cells, names: Sequence[str], kinds: Mapping[str, DataType]) -> Cells:
    return {name: plain(row.get(name), kinds.get(name, StringType())) for name in names}


def _keys(config: Pipeline, target: Target) -> Sequence[str]:
    """The columns that say which row is which; empty where any may differ."""
    table = target.table
    if target.kind != "table" or table.layer == "bronze":
        return ()
    if table.layer == "gold":
        return tuple(config.gold[table.name].group_by or ())
    return tuple(config.silver[table.name].identity)


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def plain_row(row: Cells, names: Iterable[str], schema: StructType) -> dict[str, Any]:
    """A row that came in the form of YAML."""
    return dict(_plain(row, list(names), {field.name: field.dataType for field in schema}))
