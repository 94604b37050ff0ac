"""Whether a file has cases. Imports nothing: pytest asks it about each YAML file of any project."""

from __future__ import annotations

import re
from pathlib import Path

ENDINGS = (".yaml", ".yml")
_KEYS = (re.compile(r"^config\s*:", re.MULTILINE), re.compile(r"^cases\s*:", re.MULTILINE))


def is_case_file(file: Path) -> bool:
    """Whether it is YAML with the two keys of a file of cases, each at the beginning of a line."""
    if file.suffix not in ENDINGS or not file.is_file():
        return False
    text = file.read_text(encoding="utf-8", errors="replace")
    return all(key.search(text) for key in _KEYS)
