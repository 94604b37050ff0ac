"""Finds what the generator has made, so that it can be removed."""

from __future__ import annotations

import json

from medallion_jobs.lake.tables import commits
from medallion_jobs.storage import Location, children

# In the first commit of each dimension that the generator has made.
MARK = {"made_by": "medallion generate"}


def made_files(feed: str, landing: Location, summaries: Location) -> list[Location]:
    """The feed's files that the summaries name and that still exist, and the summaries."""
    found = []
    for summary in children(summaries, "*.json"):
        content = json.loads(summary.read_bytes())
        if content["feed"] == feed:
            found += [landing / file["name"] for file in content["files"]]
            found.append(summary)
    return [file for file in found if file.exists()]


def is_made(table: Location) -> bool:
    """Whether the generator has made a table."""
    first = next(iter(commits(table, 0)), None)
    return first is not None and MARK.items() <= first.info.items()
