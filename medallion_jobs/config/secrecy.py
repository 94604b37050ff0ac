"""Which values of a config are secrets and must not be shown."""

from __future__ import annotations

import json
import re
from typing import Any

from medallion_jobs.config.tree import Node, Path
from medallion_jobs.masking import MASK, without_login

PLACEHOLDER = re.compile(r"\$\{(env|file):([^}]+)\}")

_SECRET_KEY = re.compile(
    r"passw(or)?d|secret|token|credential|(access|account|api|private|encryption)[._-]?key|keystore[._]key"
    r"|(^|[._-])sas([._-]|$)|connection[._-]?string|webhook|[._]jaas[._]",
    re.IGNORECASE,
)
# These keys name where a secret is stored or who issues it; their values are not secret.
_SECRET_LOCATION = re.compile(
    r"(provider|file|path)$|^spark\.kubernetes\.(driver|executor)\.secret(s|KeyRef)\.",
    re.IGNORECASE,
)
# The keys of these mappings are names of the user's tables and columns, not secrets.
_MAPS_OF_NAMES = ("bronze", "silver", "gold", "columns", "measures", "queries")
_SHOWN_AT_MOST = 160


class Hidden(str):
    """Text from a placeholder: a normal str, but its repr is `***`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK


def is_secret_key(path: Path) -> bool:
    """Whether the value at `path` is a secret, according to the names of its keys."""
    return any(
        isinstance(part, str)
        and above not in _MAPS_OF_NAMES
        and _SECRET_KEY.search(part)
        and not _SECRET_LOCATION.search(part)
        for above, part in zip((None, *path), path, strict=False)
    )


def is_secret(key: str, value: str) -> bool:
    """Whether a Spark setting must not be shown: its name is secret, or it was a placeholder."""
    # The JVM's command line needs it.
    is_exempt = key == "spark.driver.memory"
    return is_secret_key((key,)) or (isinstance(value, Hidden) and not is_exempt)


def is_placeholder(value: object) -> bool:
    """Whether `value` is a single placeholder and nothing else."""
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
        # The config refuses a URL with a login, and the error shows the value.
        return without_login(node.value)
    return node.value


def on_one_line(value: Any, *, at_most: int | None = _SHOWN_AT_MOST) -> str:
    """The result of `displayed` as one printable line, cut to `at_most` characters."""
    if isinstance(value, str) and value.isprintable() and value.strip():
        text = value
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = f"[{', '.join(on_one_line(item, at_most=None) for item in value)}]"
    else:
        # ASCII only, so that no control character reaches a terminal.
        text = json.dumps(value)
    return text if at_most is None or len(text) <= at_most else text[: at_most - 1] + "…"
