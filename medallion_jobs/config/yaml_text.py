"""Parses YAML text into nodes with line numbers; refuses everything but plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, SequenceNode

from medallion_jobs.config.problems import Problem
from medallion_jobs.config.tree import Node, Origin, Path, dotted

MAX_BYTES = 1 << 20
# Aliases are resolved, so a few lines can expand to billions of values.
_MAX_VALUES = 100_000
_MAX_DEPTH = 40
# The parser's messages quote YAML punctuation, which helps, and names from the text, such as an
# alias, which may be a secret that starts with `*`.
_QUOTED = re.compile(r"'[^'<][^']+'")
_TAB = re.compile(r" *\t")
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = {_TAG + "str", _TAG + "timestamp", _TAG + "merge"}
_OTHER_SCALARS = {_TAG + "int", _TAG + "float", _TAG + "bool", _TAG + "null"}


class _TooMuchError(Exception):
    """The text expands to more values, or more levels, than a config needs."""


def parse(
    text: str, source: str, *, numbered: bool = True, path: Path = ()
) -> tuple[Node | None, list[Problem]]:
    """Parses one YAML 1.2 document, or one value of `--set` or of an environment variable.

    Args:
        text: the document.
        source: where it comes from, for the origin of each node.
        numbered: whether origins have a line number.
        path: the path in the config of the document's root.

    Returns:
        The root and the mistakes found. The root is None if the text cannot be parsed.
    """
    reader = _Reader(source, numbered)

    def unreadable(what: str, line: int = 0) -> tuple[None, list[Problem]]:
        return None, [Problem(reader.at_line(line), dotted(path), what)]

    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        return unreadable("larger than 1 MiB, so it was not read")
    try:
        root = reader.yaml.compose(text)
        if root is None:
            return Node(None, reader.at_line(0)), []
        return reader.convert(root, path, root.start_mark.line), reader.problems
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line if mark else 0
        return unreadable(f"not YAML: {_fault(error, text, line)}", line)
    except YAMLError:
        return unreadable("not YAML: it contains characters that YAML does not allow")
    except (_TooMuchError, RecursionError):
        return unreadable(
            f"nested deeper than {_MAX_DEPTH} levels, or more than {_MAX_VALUES:,} values "
            "once its aliases are resolved"
        )


def _fault(error: MarkedYAMLError, text: str, line: int) -> str:
    """What is wrong in the line."""
    if _TAB.match((*text.split("\n"), "")[line]):
        return "a tab is used to indent, where YAML allows only spaces"
    message = " ".join(part for part in (error.context, error.problem) if part)
    return _QUOTED.sub("…", message)


@dataclass
class _Reader:
    source: str
    numbered: bool
    problems: list[Problem] = field(default_factory=list)
    values: int = 0

    def __post_init__(self) -> None:
        self.yaml = YAML(typ="safe", pure=True)

    def at_line(self, line: int) -> Origin:
        return Origin(self.source, line + 1 if self.numbered else None)

    def refuse(self, line: int, path: Path, what: str, allowed: str = "") -> None:
        self.problems.append(Problem(self.at_line(line), dotted(path), what, allowed=allowed))

    def convert(self, node: Any, path: Path, line: int, depth: int = 0) -> Node:
        """Converts a parser node; `line` is the line of its key, where a user looks for it."""
        self.values += 1
        if self.values > _MAX_VALUES or depth > _MAX_DEPTH:
            raise _TooMuchError
        tag = str(node.tag)
        if isinstance(node, MappingNode) and tag == _TAG + "map":
            return Node(self._mapping(node, path, depth), self.at_line(line))
        if isinstance(node, SequenceNode) and tag == _TAG + "seq":
            items = [
                self.convert(item, (*path, at), item.start_mark.line, depth + 1)
                for at, item in enumerate(node.value)
            ]
            return Node(items, self.at_line(line))
        if tag in _TEXT_TAGS:
            return Node(node.value, self.at_line(line))
        if tag in _OTHER_SCALARS:
            try:
                return Node(self.yaml.constructor.construct_object(node), self.at_line(line))
            except (ValueError, KeyError, IndexError):
                self.refuse(line, path, f"not a !!{tag.removeprefix(_TAG)} as its tag says")
                return Node(None, self.at_line(line))
        # The tag is not shown: under a secret's key it may be the secret itself.
        self.refuse(line, path, "a tag (!…) is not allowed", "plain YAML values, no tags")
        return Node(None, self.at_line(line))

    def _mapping(self, node: Any, path: Path, depth: int) -> dict[str, Node]:
        children: dict[str, Node] = {}
        for key, value in node.value:
            line = key.start_mark.line
            if isinstance(key, MappingNode | SequenceNode):
                self.refuse(line, path, "a mapping or list is used as a key", "text as the key")
                continue
            child = (*path, str(key.value))
            if key.value in children:
                first = children[key.value].origin
                where = f", first at {first}" if self.numbered else ""
                self.refuse(line, child, f"the key occurs twice{where}", "each key once")
            children[str(key.value)] = self.convert(value, child, line, depth + 1)
        return children
