"""Turns pydantic's errors into problems with our own text and the line of the value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import ValidationError

from medallion_jobs.config.checks import NOT_FOUND
from medallion_jobs.config.fields import IDENTIFIER_ALLOWED, REFUSED
from medallion_jobs.config.problems import Problem, nearest
from medallion_jobs.config.schema import (
    JsonSchema,
    allowed,
    choices,
    kind_key,
    kinds_of,
    schema_at,
)
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
    place, of_kind = _without_kind(place)
    if kind == "missing":
        _, parent = deepest(tree, place)
        return Problem(parent.origin, dotted(place), "a required key is missing", None, _at(place))
    if place and place[-1] == _KEY_ITSELF:
        path, node = deepest(tree, place[:-1])
        return Problem(node.origin, dotted(path), "not a name", None, IDENTIFIER_ALLOWED)

    path, node = deepest(tree, place)
    value = on_one_line(displayed(node, path))
    if kind == "extra_forbidden":
        siblings = list((of_kind or schema_at(path[:-1]) or {}).get("properties", {}))
        what, meant = "unknown key", nearest(str(path[-1]), siblings)
        if of_kind and schema_at(path):
            key = kind_key(kinds_of(schema_at(path[:-1]) or {}))
            names = " or ".join(choices(of_kind["properties"][key]))
            what, meant = f"not a key where `{key}` is {names}", None
        return Problem(node.origin, dotted(path), what, value, ", ".join(siblings), meant)
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


def _without_kind(place: Path) -> tuple[Path, JsonSchema | None]:
    """A place without the name of a kind, which pydantic puts into it; and that kind.

    The kind is None unless the place is a key of it.
    """
    for depth in range(1, len(place)):
        kinds = kinds_of(schema_at(place[:depth]) or {})
        if of_kind := kinds.get(str(place[depth])):
            rest = place[depth + 1 :]
            return (*place[:depth], *rest), of_kind if len(rest) == 1 else None
    return place, None


def _at(path: Path) -> str:
    schema = schema_at(path)
    if schema is None and path and isinstance(path[-1], int):
        schema = schema_at(path[:-1])  # of a list that may also be written as a single value
    if schema is None:
        return ""
    inner = (allowed(choice.get("items", choice)) for choice in schema.get("anyOf", ()))
    return allowed(schema) or " or ".join(dict.fromkeys(filter(None, inner)))
