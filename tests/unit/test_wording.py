"""Plain words wherever people read: messages, docstrings, comments, pages."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Words of no field and of no spoken English; docs/architecture.md has those that are used. One
# behind a slash is part of an id that earlier versions stored.
NOT_SAID = re.compile(
    r"(?<!/)\b(fates?|verdicts?|fences?|tally|tallied|sidings?|mend(s|ed|ing)?|anew|thereof|lest|told|"
    r"tell(s|ing)?|said|saying|in vain|lost its way|of one's own|begun anew)\b",
    re.IGNORECASE,
)
SCRIPTS = [ROOT / "scripts" / name for name in ("local_cluster", "cdc_lab")]
ROOMS = sorted([*(ROOT / "medallion_jobs").iterdir(), *SCRIPTS])
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "conf").glob("*.yaml")])


def found_in(text: str, first_line: int = 1) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), first_line):
        for match in NOT_SAID.finditer(line):
            yield f"{number}: {match.group(0)}: {line.strip()[:90]}"


def read_by_people(source: str) -> Iterator[tuple[int, str]]:
    """Strings, docstrings and comments of a module, each with its line."""
    kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in kinds:
            # Code inside braces is for no reader.
            yield token.start[0], re.sub(r"\{[^{}]*\}", "{}", token.string)


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.name)
def test_the_code(path: Path) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{place}"
        for file in ([path] if path.suffix == ".py" else sorted(path.rglob("*.py")))
        for line, text in read_by_people(file.read_text(encoding="utf-8"))
        for place in found_in(text, line)
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages(page: Path) -> None:
    assert list(found_in(page.read_text(encoding="utf-8"))) == []
