"""Writes what came into a file of cases; its comments and the rest of it stay."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from medallion_jobs.report.atomic_file import open_atomically
from medallion_jobs.testing.cases.compare import differences, plain_row
from medallion_jobs.testing.cases.running import Came, Result

_WIDTH = 110


def update(results: Iterable[Result]) -> list[Path]:
    """Has each case expect what came; cases whose run failed stay.

    Returns:
        The files that were written.
    """
    by_file: dict[Path, list[Result]] = {}
    for result in results:
        if not result.error and not result.missing_error:
            by_file.setdefault(result.case.file, []).append(result)
    return [file for file, found in by_file.items() if _update(file, found)]


def _update(file: Path, results: Iterable[Result]) -> bool:
    text = file.read_text(encoding="utf-8-sig")
    yaml = round_trip(text)
    root = yaml.load(text)
    changed = False
    for result in results:
        case = root["cases"][result.case.name]
        for came in result.came:
            if result.case.expects_nothing or _differs(result, came):
                _set(case["then"][came.step - 1] if came.step else case, came)
                changed = True
    if changed:
        written(file, yaml, root)
    return changed


def _differs(result: Result, came: Came) -> bool:
    return bool(differences(result.case.config, came.expected, came.found))


def _set(step: Any, came: Came) -> None:
    expect = step.setdefault("expect", CommentedMap())
    name, rows = str(came.expected.target), _rows(came)
    has = expect.get(name)
    if not isinstance(has, MutableMapping):
        expect[name] = rows
        return
    if "count" in has:
        has["count"] = len(came.found[0])
    if "rows" in has or "count" not in has:
        has["rows"] = rows


def _rows(came: Came) -> CommentedSeq:
    found, schema = came.found
    names = list(came.expected.columns)
    if not names or came.expected.all_columns or not set(names) <= set(schema.names):
        names = schema.names
    if came.expected.target.kind != "table" and not came.expected.columns:
        # Where a row came from and what it broke says why it is there; most of the rest is null.
        return rows_of(_without_nulls(plain_row(row, names, schema)) for row in found)
    rows = [plain_row(row, names, schema) for row in found]
    return rows_of(sorted(rows, key=repr))


def _without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in (None, [])}


def rows_of(rows: Iterable[Mapping[str, Any]]) -> CommentedSeq:
    """Rows as YAML, one a line."""
    listed = CommentedSeq()
    for row in rows:
        mapping = CommentedMap(row)
        mapping.fa.set_flow_style()
        listed.append(mapping)
    if not listed:
        listed.fa.set_flow_style()
    return listed


def round_trip(text: str) -> YAML:
    """A reader and writer that keeps comments, quotes, and the way in which lists are indented."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    below_key = re.search(r"^( *)[^\s#-][^\n]*:[ ]*\n( *)- ", text, re.MULTILINE)
    offset = len(below_key[2]) - len(below_key[1]) if below_key else 2
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml


def written(file: Path, yaml: YAML, root: Any) -> None:
    """Writes a document in place of a file, whole or not at all."""
    buffer = io.BytesIO()
    yaml.dump(root, buffer)
    with open_atomically(file) as sink:
        sink.write(buffer.getvalue())
