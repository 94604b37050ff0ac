"""Values as they were written, each with the place that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Scalar = str | int | float | bool | None
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Origin:
    """Who set a value.

    Attributes:
        source: a file's name, `--set`, `environment MEDALLION__…` or `default`.
        line: 1-based line in the file; None for everything that is no file.
    """

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True)
class Node:
    """A mapping, list or scalar, placeholders not resolved, and its origin."""

    value: dict[str, Node] | list[Node] | Scalar
    origin: Origin


def node_of(value: object, origin: Origin) -> Node:
    """Values of a program as nodes."""
    if isinstance(value, Mapping):
        return Node({str(key): node_of(one, origin) for key, one in value.items()}, origin)
    if isinstance(value, list | tuple):
        return Node([node_of(one, origin) for one in value], origin)
    is_scalar = value is None or isinstance(value, str | int | float | bool)
    return Node(value if is_scalar else str(value), origin)  # type: ignore[arg-type]


def dotted(path: Path) -> str:
    """The path as users write it after `--set`: `silver.sales.lookups.0.how`."""
    return ".".join(str(part) for part in path)


def merge(base: Node | None, over: Node) -> Node:
    """`over` laid on `base`: mappings key by key, whatever else replaced whole.

    A mapping in both keeps the place of `base`, where its missing keys are looked for.
    """
    if base is None or not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(base.value)
    for key, node in over.value.items():
        merged[key] = merge(merged.get(key), node)
    return Node(merged, base.origin)


def place(base: Node | None, path: Path, node: Node) -> Node:
    """`base` with `node` laid at `path`; a number there picks an element of a list.

    Mappings that are missing on the way are made, with the origin of `node`.
    """
    if not path:
        return merge(base, node)
    key, rest = str(path[0]), path[1:]
    if base is not None and isinstance(base.value, list):
        if key.isdecimal() and int(key) < len(base.value):
            items = list(base.value)
            items[int(key)] = place(items[int(key)], rest, node)
            return Node(items, base.origin)
    elif base is not None and isinstance(base.value, dict):
        return Node(
            {**base.value, key: place(base.value.get(key), rest, node)},
            base.origin,
        )
    return Node({key: place(None, rest, node)}, node.origin)


def deepest(tree: Node, path: Path) -> tuple[Path, Node]:
    """The longest beginning of `path` that exists, and the node there."""
    node = tree
    for depth, part in enumerate(path):
        if isinstance(node.value, dict) and str(part) in node.value:
            node = node.value[str(part)]
        elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            return path[:depth], node
    return path, node
