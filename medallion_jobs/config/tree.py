"""Config values as written, each with its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Scalar = str | int | float | bool | None
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Origin:
    """Where a value was set.

    Attributes:
        source: a file's name, `--set`, `environment MEDALLION__…` or `default`.
        line: 1-based line in the file; None if the source is not a file.
    """

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True)
class Node:
    """A mapping, list or scalar with placeholders unresolved, and its origin."""

    value: dict[str, Node] | list[Node] | Scalar
    origin: Origin


def node_of(value: object, origin: Origin) -> Node:
    """A program's values as nodes."""
    if isinstance(value, Mapping):
        return Node({str(key): node_of(item, origin) for key, item in value.items()}, origin)
    if isinstance(value, list | tuple):
        return Node([node_of(item, origin) for item in value], origin)
    is_scalar = value is None or isinstance(value, str | int | float | bool)
    return Node(value if is_scalar else str(value), origin)  # type: ignore[arg-type]


def dotted(path: Path) -> str:
    """The path in the form of `--set`: `silver.sales.lookups.0.how`."""
    return ".".join(str(part) for part in path)


def merge(base: Node | None, over: Node) -> Node:
    """`base` overridden by `over`: mappings key by key, all else as a whole.

    A mapping in both keeps the origin of `base`, where missing keys are reported.
    """
    if base is None or not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(base.value)
    for key, node in over.value.items():
        merged[key] = merge(merged.get(key), node)
    return Node(merged, base.origin)


def place(base: Node | None, path: Path, node: Node) -> Node:
    """`base` with `node` merged in at `path`; a number in the path picks a list element.

    Mappings missing on the path are created, with the origin of `node`.
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
    """The longest existing prefix of `path`, and the node at it."""
    node = tree
    for depth, part in enumerate(path):
        if isinstance(node.value, dict) and str(part) in node.value:
            node = node.value[str(part)]
        elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            return path[:depth], node
    return path, node
