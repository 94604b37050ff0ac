"""What a person reads about a case that differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from medallion_jobs.masking import masked
from medallion_jobs.testing.cases.compare import Difference, Pair
from medallion_jobs.testing.cases.running import Result

_MOST_PAIRS = 20
_GAP = "  "


def lines(result: Result, width: int = 120) -> Iterator[str]:
    """The differences of a case, a table at a time.

    Args:
        width: of the terminal, in characters; a wider table becomes one block a row.
    """
    file = result.case.file
    if result.error:
        yield from masked(f"the run ended with {result.error.code}: {result.error}").split("\n")
    if result.missing_error:
        yield f"the run was to end with {result.missing_error}, and ended well"
    for difference in result.differences:
        at = f"{file}:{difference.line}" if difference.line else str(file)
        yield f"{difference.target}: {difference.what} ({at})"
        for line in _table(difference, width - len(_GAP)):
            yield f"{_GAP}{line}".rstrip()


def _table(difference: Difference, width: int) -> Iterator[str]:
    shown = difference.pairs[:_MOST_PAIRS]
    if not shown:
        return
    header = ["", *difference.columns]
    cells = [header, *([pair.kind, *_cells(pair, difference.columns)] for pair in shown)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(header))]
    if sum(widths) + len(_GAP) * (len(widths) - 1) <= width:
        for row in cells:
            yield _GAP.join(cell.ljust(size) for cell, size in zip(row, widths, strict=True))
    else:
        yield from _blocks(shown, difference.columns)
    if len(difference.pairs) > len(shown):
        yield f"and {len(difference.pairs) - len(shown)} more"


def _blocks(pairs: Sequence[Pair], columns: Sequence[str]) -> Iterator[str]:
    size = max(map(len, columns))
    for pair in pairs:
        yield pair.kind
        for name, cell in zip(columns, _cells(pair, columns), strict=True):
            yield f"{_GAP}{name.ljust(size)}{_GAP}{cell}"


def _cells(pair: Pair, columns: Sequence[str]) -> list[str]:
    return [_cell(pair, name) for name in columns]


def _cell(pair: Pair, name: str) -> str:
    if pair.expected is None or pair.came is None:
        return _text((pair.expected or pair.came or {})[name])
    before, after = pair.expected[name], pair.came[name]
    same = _text(before) == _text(after)
    return _text(after) if same else f"{_text(before)} → {_text(after)}"


def _text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | int | float | list | dict):
        return json.dumps(value, ensure_ascii=False)
    text = str(value)
    # What cannot be seen, or reads as another value, is shown in quotes.
    is_plain = text.isprintable() and text == text.strip() and text not in ("", "null")
    return text if is_plain else json.dumps(text)
