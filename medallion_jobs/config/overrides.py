"""The layers that are no files: environment variables and `--set`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medallion_jobs.config import yaml_text
from medallion_jobs.config.problems import Problem
from medallion_jobs.config.tree import Node, Origin, Path, deepest, dotted, place

PREFIX = "MEDALLION__"
_SPARK_CONF = ("spark", "conf")


@dataclass(frozen=True)
class Overridden:
    """The tree with the overrides laid on, and the overrides that could not be read."""

    tree: Node
    problems: list[Problem]


def set_on(tree: Node, overrides: Iterable[str]) -> Overridden:
    """Lay each `dotted.path=value` on the tree, in the order given."""
    origin = Origin("--set")
    problems: list[Problem] = []
    for text in overrides:
        name, equals, value = text.partition("=")
        parts = tuple(name.strip().split("."))
        if not equals or not all(parts):
            # The path alone: what follows it may be a secret.
            said = re.match(r"[\w.]*", text)
            problems.append(
                Problem(
                    origin,
                    said[0] if said else "",
                    "not a path and a value",
                    allowed="DOTTED.PATH=VALUE, such as storage.root=/data/lake",
                )
            )
            continue
        path = _spark_key_joined(parts)
        node, found = yaml_text.parse(value, origin.source, numbered=False, path=path)
        problems += found
        if node is not None:
            tree = place(tree, path, node)
    return Overridden(tree, problems)


def environment_on(tree: Node, environ: Mapping[str, str]) -> Overridden:
    """Lay each `MEDALLION__KEY__KEY` variable on the tree, in the order of their names."""
    problems: list[Problem] = []
    for variable in sorted(name for name in environ if name.upper().startswith(PREFIX)):
        origin = Origin(f"environment {variable}")
        parts = tuple(variable[len(PREFIX) :].split("__"))
        if not all(parts):
            problems.append(
                Problem(
                    origin,
                    "",
                    "not a path",
                    allowed=f"keys separated by two underscores, such as {PREFIX}STORAGE__ROOT",
                )
            )
            continue
        path = _with_the_case_of(tree, parts)
        if path[:2] == _SPARK_CONF and len(path) > 2 and deepest(tree, path)[0] != path:  # noqa: PLR2004
            problems.append(
                Problem(
                    origin,
                    dotted(path),
                    "no file sets this key, and a variable's name has lost its case",
                    allowed="a key that a file sets; or use --set",
                )
            )
            continue
        node, found = yaml_text.parse(environ[variable], origin.source, numbered=False, path=path)
        problems += found
        if node is not None:
            tree = place(tree, path, node)
    return Overridden(tree, problems)


def _spark_key_joined(parts: tuple[str, ...]) -> Path:
    # Spark's own keys hold dots, so what follows spark.conf is one key.
    if parts[:2] == _SPARK_CONF and len(parts) > len(_SPARK_CONF):
        return (*_SPARK_CONF, ".".join(parts[2:]))
    return parts


def _with_the_case_of(tree: Node, parts: tuple[str, ...]) -> Path:
    """The path with each key as the tree spells it; lower case where the tree has none."""
    lowered = _spark_key_joined(tuple(part.lower() for part in parts))
    path: Path = ()
    for part in lowered:
        _, node = deepest(tree, path)
        known = node.value if isinstance(node.value, dict) else {}
        spelt = next((key for key in known if key.lower() == part), part)
        path = (*path, spelt)
    return path
