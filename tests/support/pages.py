"""The blocks of code that README and docs show, and the commands in them."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medallion_jobs.config.yaml_text import parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(
    r"^( *)```(\w*)(?: title=\"([^\"\n]*)\")?\n(.*?)^ *``` *$", re.MULTILINE | re.DOTALL
)
_IN_BLOCKS = re.compile(r"^```(?:console|sh|bash|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_IN_TEXT = re.compile(r"`((?:medallion|scripts/)[^`\n]*)`")


@dataclass(frozen=True)
class Block:
    """A block of code on a page.

    Attributes:
        line: where it begins, from 1.
        language: as it is written behind the three ticks; empty without one.
        title: the file that it is; empty without one.
    """

    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def values(self) -> Any:
        """What a block of YAML says, read as a config is."""
        return yaml_values(self.text, str(self))


def blocks(*languages: str, pages: list[Path] = PAGES) -> Iterator[Block]:
    """All blocks in these languages; in any, if none is given."""
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            if not languages or found[2] in languages:
                line = text.count("\n", 0, found.start()) + 1
                yield Block(page, line, found[2], found[3] or "", textwrap.dedent(found[4]))


def yaml_values(text: str, name: str) -> Any:
    """The values of a text in YAML 1.2, placeholders as they are written."""
    tree, problems = parse(text, name)
    assert problems == []
    return _plain(tree)


def _plain(node: Any) -> Any:
    value = getattr(node, "value", node)
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    return [_plain(child) for child in value] if isinstance(value, list) else value


def commands(page: Path) -> list[str]:
    """Every `medallion …` and `scripts/…` command that a page tells the reader to type."""
    text = page.read_text(encoding="utf-8")
    blocks = "".join(_IN_BLOCKS.findall(text)).replace("\\\n", " ")
    lines = [line.removeprefix("$ ").strip() for line in blocks.splitlines()]
    told = [line for line in lines if line.startswith(("medallion ", "scripts/"))]
    outside = _IN_BLOCKS.sub("", text)
    return told + _IN_TEXT.findall(outside)


def words(command: str) -> list[str]:
    """A command's words, without comments and what is piped or redirected behind it."""
    found = shlex.split(command, comments=True)
    ends = [found.index(word) for word in ("|", ">", "&&", "2>") if word in found]
    return found[: min(ends, default=len(found))]


def in_sections(page: Path) -> dict[str, list[list[str]]]:
    """The commands of a page's blocks, block by block, by the heading that they stand under."""
    parts = re.split(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        heading: [
            [line.removeprefix("$ ").strip() for line in block.splitlines()]
            for block in _IN_BLOCKS.findall(text)
        ]
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }
