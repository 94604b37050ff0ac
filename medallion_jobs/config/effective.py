"""Every effective value, and which layer set it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from medallion_jobs.config.model import Pipeline
from medallion_jobs.config.secrecy import displayed
from medallion_jobs.config.tree import Node, Origin, Path, dotted

DEFAULT = Origin("default")


@dataclass(frozen=True)
class Setting:
    """One effective value.

    Attributes:
        path: dotted, as `--set` takes it.
        value: a scalar or a list of scalars, as written: placeholders are not resolved.
        origin: the layer that set it.
    """

    path: str
    value: Any
    origin: Origin


def settings(pipeline: Pipeline, tree: Node) -> tuple[Setting, ...]:
    """All values, in the model's order: those written in `tree`, and the defaults."""
    # Placeholders are resolved in the dump, so only values missing from the tree come from it.
    return tuple(_visit(pipeline.model_dump(mode="json", by_alias=True), tree, ()))


def _visit(effective: Any, written: Node | None, path: Path) -> Iterator[Setting]:
    if isinstance(effective, dict) and written and isinstance(written.value, str):
        # Written in short form, such as a measure as SQL text.
        yield Setting(dotted(path), displayed(written, path), written.origin)
    elif isinstance(effective, dict) and effective:
        children = written.value if written and isinstance(written.value, dict) else {}
        for key, value in effective.items():
            yield from _visit(value, children.get(key), (*path, key))
    elif isinstance(effective, list) and any(isinstance(item, dict) for item in effective):
        items = written.value if written and isinstance(written.value, list) else []
        for at, value in enumerate(effective):
            yield from _visit(value, items[at] if at < len(items) else None, (*path, at))
    elif written is None:
        yield Setting(dotted(path), effective, DEFAULT)
    else:
        yield Setting(dotted(path), displayed(written, path), written.origin)
