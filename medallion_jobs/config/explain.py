"""The validator's findings as problems: in our words, at the line that wrote the value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import ValidationError

from medallion_jobs.config.checks import NOT_FOUND
from medallion_jobs.config.fields import IDENTIFIER_ALLOWED, REFUSED
from medallion_jobs.config.problems import Problem, nearest
from medallion_jobs.config.schema import allowed, choices, schema_at
from medallion_jobs.config.secrecy import displayed, on_one_line
from medallion_jobs.config.tree import Node, Path, deepest, dotted

# How pydantic marks, at the end of a place, that the key and not its value is meant.
_KEY_ITSELF = "[key]"


def explain(error: ValidationError, tree: Node) -> Iterator[Problem]:
    """One problem for each finding.

    The value and the words shown come from `tree`, never from the validator, which saw
    placeholders resolved.
    """
    for found in error.errors(include_url=False, include_input=False):
        yield _problem(found["type"], found["loc"], found["msg"], found.get("ctx", {}), tree)


def _problem(
    kind: str, place: Path, message: str, context: Mapping[str, Any], tree: Node
) -> Problem:
    if kind == "missing":
        _, parent = deepest(tree, place)
        return Problem(parent.origin, dotted(place), "a required key is missing", None, _at(place))
    if place and place[-1] == _KEY_ITSELF:
        path, node = deepest(tree, place[:-1])
        return Problem(node.origin, dotted(path), "not a name", None, IDENTIFIER_ALLOWED)

    path, node = deepest(tree, place)
    value = on_one_line(displayed(node, path))
    if kind == "extra_forbidden":
        siblings = list((schema_at(path[:-1]) or {}).get("properties", {}))
        meant = nearest(str(path[-1]), siblings)
        known = ", ".join(siblings)
        return Problem(node.origin, dotted(path), "unknown key", value, known, meant)
    if kind == NOT_FOUND:
        known_tables: list[str] = context["known"]
        said = str(node.value)
        listed = ", ".join(known_tables) or "no table is there to read from"
        return Problem(
            node.origin, dotted(path), message, value, listed, nearest(said, known_tables)
        )
    if kind == REFUSED:
        return Problem(node.origin, dotted(path), message, value)
    # Every other kind is a value of the wrong type or form, and what is allowed says it all.
    meant = nearest(str(node.value), choices(schema_at(path) or {}))
    return Problem(node.origin, dotted(path), "not allowed here", value, _at(path), meant)


def _at(path: Path) -> str:
    schema = schema_at(path)
    if schema is None and path and isinstance(path[-1], int):
        schema = schema_at(path[:-1])  # of a list that may also be one value alone
    if schema is None:
        return ""
    inner = (allowed(one.get("items", one)) for one in schema.get("anyOf", ()))
    return allowed(schema) or " or ".join(dict.fromkeys(filter(None, inner)))
