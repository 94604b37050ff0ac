"""`${env:NAME}` and `${file:PATH}`: the only way to put a secret into a config."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from medallion_jobs.config.problems import Problem, nearest
from medallion_jobs.config.secrecy import (
    PLACEHOLDER,
    Hidden,
    displayed,
    is_placeholder,
    is_secret_key,
    on_one_line,
)
from medallion_jobs.config.tree import Node, Path, dotted
from medallion_jobs.masking import MASK, remember

_MAX_SECRET_BYTES = 64 * 1024
_ALLOWED = "${env:NAME} or ${file:PATH}"
# What only a load into a sink needs: it changes no name, and nothing that is computed.
_LOGIN = re.compile(r"gold\.[^.]+\.sinks\.\d+\.jdbc\.(url|user|password|options\..+)")


class _MissingError(Exception):
    """A placeholder that cannot be resolved; the text never holds its value."""


def resolve(tree: Node, environ: Mapping[str, str], folder: FilePath) -> tuple[Any, list[Problem]]:
    """The tree as plain data with every placeholder replaced.

    Args:
        folder: the folder that paths of files are relative to.

    Returns:
        The data, and a problem for each placeholder without a value, whose text stays in the
        data. Replaced text is `Hidden`, and secrets are masked from now on.
    """
    problems: list[Problem] = []

    def visit(node: Node, path: Path) -> Any:
        if isinstance(node.value, dict):
            return {key: visit(child, (*path, key)) for key, child in node.value.items()}
        if isinstance(node.value, list):
            return [visit(child, (*path, at)) for at, child in enumerate(node.value)]
        if not isinstance(node.value, str) or "${" not in node.value:
            return node.value
        try:
            text = _replaced(node.value, environ, folder)
            if is_secret_key(path):
                remember(text)
            return text
        except _MissingError as missing:
            shown = on_one_line(displayed(node, path))
            problems.append(Problem(node.origin, dotted(path), str(missing), shown, _ALLOWED))
            return node.value

    return visit(tree, ()), problems


def is_of_login(problem: Problem) -> bool:
    """Whether a placeholder without a value is part of how a sink is reached."""
    return _LOGIN.fullmatch(problem.path) is not None


def literal_secrets(tree: Node) -> Iterator[Problem]:
    """A problem for each secret that is written in plain text instead of a placeholder."""

    def visit(node: Node, path: Path) -> Iterator[Problem]:
        if isinstance(node.value, dict):
            for key, child in node.value.items():
                yield from visit(child, (*path, key))
        elif isinstance(node.value, list):
            for at, child in enumerate(node.value):
                yield from visit(child, (*path, at))
        elif is_secret_key(path) and node.value is not None and not is_placeholder(node.value):
            yield Problem(
                node.origin,
                dotted(path),
                "a secret must not be written in plain text",
                MASK,
                f"{_ALLOWED}, and nothing else",
            )

    yield from visit(tree, ())


def _replaced(text: str, environ: Mapping[str, str], folder: FilePath) -> Hidden:
    # Any other `${` is a misspelt placeholder, not text that the user meant.
    if "${" in PLACEHOLDER.sub("", text):
        raise _MissingError("unknown placeholder")

    def value_of(match: re.Match[str]) -> str:
        kind, name = match.groups()
        return _from_environment(name, environ) if kind == "env" else _from_file(folder / name)

    return Hidden(PLACEHOLDER.sub(value_of, text))


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if name in environ:
        return environ[name]
    close = nearest(name, environ)
    hint = f"; did you mean `{close}`?" if close else ""
    raise _MissingError(f"the environment variable {name} is not set{hint}")


def _from_file(name: FilePath) -> str:
    try:
        with name.open("rb") as file:
            content = file.read(_MAX_SECRET_BYTES + 1)
        if len(content) > _MAX_SECRET_BYTES:
            raise _MissingError(f"the file {name} is larger than 64 KiB")
        text = content.decode("utf-8")
    except OSError as error:
        raise _MissingError(f"the file {name} cannot be read: {error.strerror}") from None
    except ValueError:
        raise _MissingError(f"the file {name} does not hold UTF-8 text") from None
    # Editors and `echo` end a file with a line break that is not part of the secret.
    return text.removesuffix("\n").removesuffix("\r")
