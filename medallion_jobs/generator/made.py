"""What the generator has made, for whoever clears it away."""

from __future__ import annotations

import json
from pathlib import Path

from medallion_jobs.tables import commits

# Stands in the first commit of a dimension that the generator made.
MARK = {"made_by": "medallion generate"}


def made_files(feed: str, landing: Path, summaries: Path) -> list[Path]:
    """The feed's files that the summaries name and that are still there, and the summaries."""
    found = []
    for summary in sorted(summaries.glob("*.json")):
        told = json.loads(summary.read_bytes())
        if told["feed"] == feed:
            found += [landing / file["name"] for file in told["files"]]
            found.append(summary)
    return [file for file in found if file.exists()]


def is_made(table: Path) -> bool:
    """Whether a table is one that the generator made."""
    first = next(iter(commits(table, 0)), None)
    return first is not None and MARK.items() <= first.info.items()
