"""Finds files of cases, and the names in them, without reading a config or importing Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from medallion_jobs.config import ConfigError, Problem, yaml_text
from medallion_jobs.config.tree import Node, Origin
from medallion_jobs.errors import UsageError
from medallion_jobs.testing.cases.recognition import is_case_file


@dataclass(frozen=True)
class Named:
    """A case before it is checked."""

    file: Path
    line: int
    name: str


def in_places(places: Sequence[Path]) -> list[Path]:
    """The files of cases that are named, or lie in the named folders.

    Raises:
        UsageError: a place does not exist, a named file has no cases, or there is none at all.
    """
    found = list[Path]()
    for place in places:
        inside = sorted(filter(is_case_file, place.rglob("*"))) if place.is_dir() else [place]
        if not place.is_dir() and not is_case_file(place):
            what = "has no cases" if place.exists() else "does not exist"
            raise _none(f"{place} {what}")
        found += inside
    if not found:
        raise _none(f"no file in {', '.join(map(str, places))} has cases")
    return list(dict.fromkeys(found))


def _none(what: str) -> UsageError:
    return UsageError(
        what,
        code="no_cases",
        untouched="nothing was run",
        next_step="write one with the keys `config` and `cases`, or make one of a run: "
        "medallion test --from-run RUN_ID (docs/testing.md)",
    )


def tree(file: Path) -> Node:
    """A file of cases as nodes with their lines.

    Raises:
        ConfigError: it is no YAML, or a key occurs twice.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise mistakes([Problem(Origin(str(file)), "", f"cannot be read: {error}")]) from None
    root, problems = yaml_text.parse(text, str(file))
    if problems or root is None:
        raise mistakes(problems)
    return root


def mistakes(problems: Sequence[Problem]) -> ConfigError:
    """The error for all mistakes of files of cases."""
    return ConfigError(problems, what="the cases have", next_step="fix them, then: medallion test")


def named(file: Path) -> Iterator[Named]:
    """The cases of a file, in its order.

    Raises:
        ConfigError: as `tree`.
    """
    root = tree(file).value
    cases = root.get("cases") if isinstance(root, dict) else None
    if cases is not None and isinstance(cases.value, dict):
        for name, node in cases.value.items():
            yield Named(file, node.origin.line or 1, name)


def is_wanted(name: str, terms: Sequence[str]) -> bool:
    """Whether a case's name has one of the terms in it, or matches one as a pattern."""
    low = name.lower()
    wanted = [term.lower() for term in terms]
    return not wanted or any(term in low or fnmatchcase(low, term) for term in wanted)
