"""Glob patterns of folders and file names, as in Hadoop: `*`, `?`, `[a-c]`, `[!a]`, `{a,b}`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

_MAGIC = re.compile(r"[*?\[{\\]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


def has_magic(text: str) -> bool:
    """Whether a text is a pattern, not a plain name."""
    return bool(_MAGIC.search(text))


def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern; it has to match a whole name.

    Raises:
        ValueError: a bracket that is not closed, a reversed range, or a `\\` at the end.
    """
    texts = "|".join(_regex(text) for text in alternatives(pattern))
    try:
        return re.compile(f"(?s:{texts})")
    except re.error as broken:
        raise ValueError(f"{broken.msg} in `{pattern}`") from None


def alternatives(pattern: str) -> list[str]:
    """Expands the braces of a pattern: one pattern for each choice.

    >>> alternatives("{a,b{c,d}}/x")
    ['a/x', 'bc/x', 'bd/x']
    """
    start = _find(pattern, "{", 0)
    if start < 0:
        return [pattern]
    commas, end = _choices(pattern, start)
    edges = [start, *commas, end]
    heads = [pattern[a + 1 : b] for a, b in pairwise(edges)]
    return [
        whole
        for head in heads
        for whole in alternatives(pattern[:start] + head + pattern[end + 1 :])
    ]


@dataclass(frozen=True)
class Root:
    """A folder that files land in, or a pattern of such folders.

    Attributes:
        base: the deepest folder above everything that the pattern can match; without a
            pattern, the folder itself.
        pattern: the part below it, one pattern per level.
    """

    base: str
    pattern: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A text that identifies the root."""
        return "\n".join((self.base, *self.pattern))

    @cached_property
    def levels(self) -> tuple[re.Pattern[str], ...]:
        return tuple(compiled(level) for level in self.pattern)

    def fits(self, level: int, name: str) -> bool:
        """Whether a name matches the pattern at a level, counted from 0 below the base."""
        if level >= len(self.levels):
            return not is_hidden(name)
        hides_none = self.pattern[level].startswith((".", "_"))
        return bool(self.levels[level].fullmatch(name)) and (hides_none or not is_hidden(name))

    def holds(self, path: str, *, recursive: bool) -> bool:
        """Whether a listing of the root can reach a file of this path."""
        base = self.base.rstrip("/") + "/"
        names = self._below(path)
        below = len(names) - len(self.levels)
        return (
            path.startswith(base)
            and not {"", ".", ".."} & set(names)
            and below >= (0 if self.levels else 1)
            and (recursive or below <= 1)
            and all(self.fits(level, name) for level, name in enumerate(names[: len(self.levels)]))
        )

    def hides(self, path: str) -> bool:
        """Whether a listing skips a file of the root, because a name in its path is hidden."""
        return any(map(is_hidden, self._below(path)[len(self.levels) :]))

    def _below(self, path: str) -> list[str]:
        return path.removeprefix(self.base.rstrip("/") + "/").split("/")


def roots_of(text: str) -> list[Root]:
    """The roots of a pattern of folders, one for each choice of its braces."""
    return [_root(text) for text in alternatives(text)]


def fixed_parent(text: str) -> str:
    """The folders before the first pattern in a path; they must exist before files land."""
    prefix, names = _split(text)
    magic = next((place for place, name in enumerate(names) if has_magic(name)), len(names))
    return _joined(prefix, names[:magic])


def is_hidden(name: str) -> bool:
    """Whether Spark ignores a name: `.x`, `_x` without `=`, and files that are being copied."""
    return (
        name.startswith(".")
        or (name.startswith("_") and "=" not in name)
        or name.endswith("._COPYING_")
    )


def _root(text: str) -> Root:
    prefix, names = _split(text)
    magic = next((place for place, name in enumerate(names) if has_magic(name)), len(names))
    return Root(_joined(prefix, names[:magic]), tuple(names[magic:]))


def _split(text: str) -> tuple[str, list[str]]:
    scheme = _SCHEME.match(text)
    prefix = scheme[0] if scheme else ""
    return prefix, [name for name in text[len(prefix) :].split("/") if name]


def _joined(prefix: str, names: Sequence[str]) -> str:
    return f"{prefix}/{'/'.join(names)}"


def _find(pattern: str, wanted: str, start: int) -> int:
    """The position of the first wanted character, not escaped or in a class; -1 if none."""
    place, in_class = start, False
    while place < len(pattern):
        char = pattern[place]
        if char == "\\":
            place += 1
        elif in_class:
            in_class = char != "]"
        elif char in wanted:
            return place
        elif char == "[":
            in_class = True
        place += 1
    return -1


def _choices(pattern: str, start: int) -> tuple[list[int], int]:
    """The positions of the commas of the brace that opens at `start`, and of its end."""
    commas: list[int] = []
    depth, place = 0, start
    while (place := _find(pattern, "{,}", place)) >= 0:
        depth += {"{": 1, "}": -1, ",": 0}[pattern[place]]
        if depth == 0:
            return commas, place
        if depth == 1 and pattern[place] == ",":
            commas.append(place)
        place += 1
    raise ValueError(f"a brace that is not closed in `{pattern}`")


def _regex(pattern: str) -> str:
    parts, place = [], 0
    while place < len(pattern):
        char = pattern[place]
        if char == "\\":
            place += 1
            if place == len(pattern):
                raise ValueError(f"a `\\` at the end of `{pattern}`")
            parts.append(re.escape(pattern[place]))
        elif char == "[":
            end = _class_end(pattern, place)
            parts.append(_class(pattern[place + 1 : end]))
            place = end
        else:
            parts.append({"*": ".*", "?": "."}.get(char) or re.escape(char))
        place += 1
    return "".join(parts)


def _class_end(pattern: str, start: int) -> int:
    place = start + 1
    while place < len(pattern) and (pattern[place] != "]" or place == start + 1):
        place += 2 if pattern[place] == "\\" else 1
    if place >= len(pattern):
        raise ValueError(f"a bracket that is not closed in `{pattern}`")
    return place


def _class(inner: str) -> str:
    negated = inner[:1] in ("!", "^") and len(inner) > 1
    letters = re.findall(r"\\.|.", inner[1:] if negated else inner, re.DOTALL)
    parts, place = [], 0
    while place < len(letters):
        is_range = letters[place + 1 : place + 2] == ["-"] and place + 2 < len(letters)
        ends = (letters[place], letters[place + 2]) if is_range else (letters[place],)
        parts.append("-".join(re.escape(end[-1]) for end in ends))
        place += 3 if is_range else 1
    return f"[{'^' if negated else ''}{''.join(parts)}]"
