"""The layers that are not files: environment variables and `--set`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medallion_jobs.config import yaml_text
from medallion_jobs.config.problems import Problem
from medallion_jobs.config.schema import kinds_at
from medallion_jobs.config.secrecy import is_placeholder, is_secret_key
from medallion_jobs.config.tree import Node, Origin, Path, deepest, dotted, place
from medallion_jobs.masking import MASK

PREFIX = "MEDALLION__"
_SPARK_CONF = ("spark", "conf")
_OPTIONS = ("source", "options")
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True)
class Overridden:
    """The tree with the overrides applied, and a problem for each one that cannot be read."""

    tree: Node
    problems: list[Problem]


def as_options(config: object, env: str | None, overrides: Iterable[str]) -> str:
    """The options that a command was given, to be typed again; without secrets.

    Each has a space before it. A config of None was found, not given.
    """
    given = {"--config": config, "--env": env}
    options = [f" {key} {shlex.quote(str(value))}" for key, value in given.items() if value]
    for text in overrides:
        name, _, value = text.partition("=")
        is_shown = not is_secret_key(tuple(name.strip().split("."))) or is_placeholder(value)
        options.append(f" --set {shlex.quote(text) if is_shown else f'{name}={MASK}'}")
    return "".join(options)


def set_on(tree: Node, overrides: Iterable[str]) -> Overridden:
    """Applies each `dotted.path=value` to the tree, in the given order."""
    origin = Origin("--set")
    problems: list[Problem] = []
    for text in overrides:
        name, equals, value = text.partition("=")
        parts = tuple(name.strip().split("."))
        if not equals or not all(parts):
            # Only the path is shown: the rest may be a secret.
            shown = re.match(r"[\w.]*", text)
            problems.append(
                Problem(
                    origin,
                    shown[0] if shown else "",
                    "not a path and a value",
                    allowed="DOTTED.PATH=VALUE, such as storage.root=/data/lake",
                )
            )
            continue
        path = _spark_key_joined(parts)
        if name != name.rstrip():
            value = value.lstrip()  # written as `path = value`
        node, found = _node(value, origin, path)
        problems += found
        if node is not None:
            tree = place(tree, path, node)
    return Overridden(tree, problems)


def environment_on(tree: Node, environ: Mapping[str, str]) -> Overridden:
    """Applies each `MEDALLION__KEY__KEY` variable to the tree, in the order of their names."""
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
                    "no file sets this key, and a variable's name does not keep its letter case",
                    allowed="a key that a file sets; or use --set",
                )
            )
            continue
        node, found = _node(environ[variable], origin, path)
        problems += found
        if node is not None:
            tree = place(tree, path, node)
    return Overridden(tree, problems)


def _node(value: str, origin: Origin, path: Path) -> tuple[Node | None, list[Problem]]:
    """The value of an override: text as it stands for a key that takes text, else YAML."""
    node, problems = yaml_text.parse(value, origin.source, numbered=False, path=path)
    kinds = kinds_at(path)
    if "string" not in kinds or _QUOTED.fullmatch(value.strip()) or value.strip() in _NULLS:
        return node, problems
    if node is not None and not problems and _is_no_text(node.value, value.strip(), kinds):
        return node, problems
    # As YAML it would end before ` #`, `0x10` would be 16, and `*x` a mistake.
    return Node(value, origin), []


def _is_no_text(parsed: object, written: str, kinds: frozenset[str]) -> bool:
    """Whether YAML that is not text is meant as such, for a key that takes these kinds."""
    match parsed:
        case bool():
            return "boolean" in kinds or str(parsed).lower() == written
        case int() | float():
            return bool({"integer", "number"} & kinds) or str(parsed) == written
        case list():
            return "array" in kinds or written.startswith("[")
        case dict():
            return "object" in kinds or written.startswith("{")
    return False


def _spark_key_joined(parts: tuple[str, ...]) -> Path:
    # Spark's own keys hold dots, so what follows spark.conf is one key.
    if parts[:2] == _SPARK_CONF and len(parts) > len(_SPARK_CONF):
        return (*_SPARK_CONF, ".".join(parts[2:]))
    # And so do those of Kafka's client.
    layer, _, *rest = (*parts, "", "")
    if layer == "bronze" and rest[:3] == [*_OPTIONS, "kafka"]:
        return (*parts[:4], ".".join(parts[4:]))
    return parts


def _with_the_case_of(tree: Node, parts: tuple[str, ...]) -> Path:
    """The path with each key in the tree's letter case; lower case for keys not in the tree."""
    lowered = _spark_key_joined(tuple(part.lower() for part in parts))
    path: Path = ()
    for part in lowered:
        _, node = deepest(tree, path)
        known = node.value if isinstance(node.value, dict) else {}
        spelt = next((key for key in known if key.lower() == part), part)
        path = (*path, spelt)
    return path
