"""What may be shown, and what must not."""

from __future__ import annotations

import json
import re
from typing import Any

from medallion_jobs.config.tree import Node, Path
from medallion_jobs.masking import MASK, without_login

PLACEHOLDER = re.compile(r"\$\{(env|file):([^}]+)\}")

_SECRET_KEY = re.compile(
    r"passw(or)?d|secret|token|credential|(access|account|api|private|encryption)[._-]?key"
    r"|(^|[._-])sas([._-]|$)|connection[._-]?string|webhook",
    re.IGNORECASE,
)
# These name where a secret is kept, or who hands it out, and hold none themselves.
_PLACE_OF_A_SECRET = re.compile(
    r"(provider|file|path)$|^spark\.kubernetes\.(driver|executor)\.secret(s|KeyRef)\.",
    re.IGNORECASE,
)
# Their keys are names of the user's own tables and columns, which hold no secret.
_MAPS_OF_NAMES = ("bronze", "silver", "gold", "columns", "measures", "queries")
_SHOWN_AT_MOST = 160


class Hidden(str):
    """Text that came through a placeholder: usable as any text, but its repr is `***`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK


def is_secret_key(path: Path) -> bool:
    """Whether the value at `path` is a secret, judged by the names of the keys above it."""
    return any(
        isinstance(part, str)
        and above not in _MAPS_OF_NAMES
        and _SECRET_KEY.search(part)
        and not _PLACE_OF_A_SECRET.search(part)
        for above, part in zip((None, *path), path, strict=False)
    )


def is_secret(key: str, value: str) -> bool:
    """Whether a setting of Spark must not be seen: by its name, or since it was a placeholder."""
    wanted_at_start = key == "spark.driver.memory"
    return is_secret_key((key,)) or (isinstance(value, Hidden) and not wanted_at_start)


def is_placeholder(value: object) -> bool:
    """Whether `value` is one placeholder and nothing else."""
    return isinstance(value, str) and PLACEHOLDER.fullmatch(value) is not None


def displayed(node: Node, path: Path) -> Any:
    """The value as plain data, placeholders unresolved, literal secrets masked."""
    if isinstance(node.value, dict):
        return {key: displayed(child, (*path, key)) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [displayed(child, (*path, at)) for at, child in enumerate(node.value)]
    if is_secret_key(path) and node.value is not None and not is_placeholder(node.value):
        return MASK
    if isinstance(node.value, str):
        # The config refuses a URL with a login, and tells what was written.
        return without_login(node.value)
    return node.value


def on_one_line(value: Any, *, at_most: int | None = _SHOWN_AT_MOST) -> str:
    """Displayed data as one printable line, cut to `at_most` characters."""
    if isinstance(value, str) and value.isprintable() and value.strip():
        text = value
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = f"[{', '.join(on_one_line(item, at_most=None) for item in value)}]"
    else:
        # ASCII only, so that no control character reaches a terminal.
        text = json.dumps(value)
    return text if at_most is None or len(text) <= at_most else text[: at_most - 1] + "…"
