"""Turns pydantic's errors into problems with our own text and the line of the value."""

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

    The value shown comes from `tree`, never from pydantic, which saw placeholders resolved.
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
        meant = nearest(str(node.value), known_tables)
        listed = ", ".join(known_tables) or "the pipeline has no table to read"
        return Problem(node.origin, dotted(path), message, value, listed, meant)
    if kind == REFUSED:
        return Problem(node.origin, dotted(path), message, value)
    # Every other kind is a value of the wrong type or form: showing what is allowed is enough.
    meant = nearest(str(node.value), choices(schema_at(path) or {}))
    return Problem(node.origin, dotted(path), "not allowed here", value, _at(path), meant)


def _at(path: Path) -> str:
    schema = schema_at(path)
    if schema is None and path and isinstance(path[-1], int):
        schema = schema_at(path[:-1])  # of a list that may also be written as a single value
    if schema is None:
        return ""
    inner = (allowed(choice.get("items", choice)) for choice in schema.get("anyOf", ()))
    return allowed(schema) or " or ".join(dict.fromkeys(filter(None, inner)))
