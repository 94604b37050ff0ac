"""What the generator has made, for whoever clears it away."""

from __future__ import annotations

import json

from medallion_jobs.lake.tables import commits
from medallion_jobs.storage import Location, children

# Stands in the first commit of a dimension that the generator made.
MARK = {"made_by": "medallion generate"}


def made_files(feed: str, landing: Location, summaries: Location) -> list[Location]:
    """The feed's files that the summaries name and that are still there, and the summaries."""
    found = []
    for summary in children(summaries, "*.json"):
        told = json.loads(summary.read_bytes())
        if told["feed"] == feed:
            found += [landing / file["name"] for file in told["files"]]
            found.append(summary)
    return [file for file in found if file.exists()]


def is_made(table: Location) -> bool:
    """Whether a table is one that the generator made."""
    first = next(iter(commits(table, 0)), None)
    return first is not None and MARK.items() <= first.info.items()
