"""The mistakes of a config, reported all at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medallion_jobs.config.tree import Origin
from medallion_jobs.errors import UsageError

# Characters of a long expression that are shown before and after a mistake in it.
_AROUND = 30


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Attributes:
        origin: file and line, `--set` or the environment variable.
        path: dotted path of the key; empty when the mistake does not belong to a key.
        what: what is wrong, without the value.
        value: the value as written (placeholders unresolved, secrets masked), if there is one.
        allowed: what would be right.
        nearest: the known key or value that was probably meant.
        at: the part of the value that is wrong, as its start and its end; None: all of it.
    """

    origin: Origin
    path: str
    what: str
    value: str | None = None
    allowed: str = ""
    nearest: str | None = None
    at: tuple[int, int] | None = None

    def __str__(self) -> str:
        subject = f"{self.path}: " if self.path else ""
        hints = []
        if self.value is not None:
            hints += self._shown(self.value)
        if self.allowed:
            hints.append(f"allowed: {self.allowed}")
        if self.nearest:
            hints.append(f"did you mean `{self.nearest}`?")
        return "\n    ".join([f"{self.origin}  {subject}{self.what}", *hints])

    def _shown(self, value: str) -> list[str]:
        """The value, with its wrong part marked below it; of a long one, what is around that."""
        if self.at is None:
            return [f"value:   {value}"]
        start, end = self.at
        begin = value.rfind("\n", 0, start) + 1
        line = value[begin:].partition("\n")[0]
        start, end = start - begin, min(end - begin, max(len(line), start - begin + 1))
        first, last = max(0, start - _AROUND), max(end, start + _AROUND)
        before, after = "…" * (first > 0), "…" * (last < len(line))
        marked = " " * (len(before) + start - first) + "^" * max(1, min(end, last) - start)
        return [f"value:   {before}{line[first:last]}{after}", f"         {marked}"]


class ConfigError(UsageError):
    """Every mistake of a config.

    Attributes:
        problems: the mistakes, in the order of the layers and their lines.
    """

    def __init__(
        self, problems: Sequence[Problem], *, next_step: str = "", what: str = "the config has"
    ) -> None:
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        paragraphs = [f"{what} {count}", *(str(problem) for problem in problems), ""]
        super().__init__(
            "\n\n".join(paragraphs).rstrip("\n") + "\n",
            code="config_has_mistakes",
            untouched="nothing was started or written",
            next_step=next_step,
        )
        self.problems = list(problems)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most similar to `word`, ignoring case; None if none is similar."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(word.lower(), by_folded, n=1)
    return by_folded[found[0]] if found else None
