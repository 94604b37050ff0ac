"""The summary of a run of the generator, in which every line is counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from medallion_jobs.generator.plan import Plan
from medallion_jobs.storage import Location, put


@dataclass(frozen=True, kw_only=True)
class FileCounts:
    """The counts of one file.

    Args:
        number: the number of the file in the run, from 1; files of dimensions have the number
            of the file of events that they come with.
        table: the bronze table whose landing folder it is in.
        name: its file name.
        lines: the number of all its lines.
        counts: the number of lines of each kind; they add up to `lines`.
        new_column: the number of lines that are JSON objects with the new column.
        repeats: the number of lines that repeat another line as the feed delivers, not as dirt.
        already_there: whether the folder already had the file, with the same bytes.
    """

    number: int
    table: str
    name: str
    lines: int
    counts: Mapping[str, int]
    new_column: int
    repeats: int
    already_there: bool


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The summary of one run.

    Args:
        feed: the name of the feed.
        plan: the plan of the run; the same plan makes the same files again.
        kinds: the kinds of dirt that are counted.
        files: the files, in the order in which they were made.
        seconds: how long the run took.
        behind_seconds: with a rate, how late the latest file was.
        stopped: whether the run was stopped before its end.
    """

    feed: str
    plan: Plan
    kinds: tuple[str, ...]
    files: tuple[FileCounts, ...]
    seconds: float
    behind_seconds: float
    stopped: bool

    @property
    def totals(self) -> dict[str, int]:
        """Files, lines, dirty lines, and lines of each kind, over all files."""
        totals = {
            "files": len(self.files),
            "already_there": sum(file.already_there for file in self.files),
            "lines": sum(file.lines for file in self.files),
            "dirty": sum(file.lines - file.counts["clean"] for file in self.files),
            "new_column": sum(file.new_column for file in self.files),
            "repeats": sum(file.repeats for file in self.files),
        }
        for kind in ("clean", *self.kinds):
            totals[kind] = sum(file.counts.get(kind, 0) for file in self.files)
        return totals

    @property
    def numbers(self) -> int:
        """The number of the plan's files that were made, without those of dimensions."""
        return len({file.number for file in self.files})

    @property
    def rows_per_second(self) -> int:
        """Lines made per second, over the whole run."""
        return round(self.totals["lines"] / self.seconds) if self.seconds else 0

    def to_json(self) -> str:
        """The summary as one JSON object, with one line per file, so that people can read it."""
        plan = asdict(self.plan)
        seed, now = plan.pop("seed"), self.plan.now.isoformat().replace("+00:00", "Z")
        plan["file_count"] = self.plan.file_count
        del plan["now"]
        head = {
            "feed": self.feed,
            "seed": seed,
            "now": now,
            "asked": plan,
            "totals": self.totals,
            "rows_per_second": self.rows_per_second,
            "seconds": round(self.seconds, 3),
            "behind_seconds": round(self.behind_seconds, 3),
            "stopped": self.stopped,
        }
        lines = [f'"{key}": {json.dumps(value)}' for key, value in head.items()]
        files = ",\n  ".join(json.dumps(_flat(file)) for file in self.files)
        lines.append(f'"files": [\n  {files}\n ]' if files else '"files": []')
        return "{\n " + ",\n ".join(lines) + "\n}\n"

    def save(self, folder: Location) -> Location | None:
        """Writes the summary to `folder`, named like its first file; without files, nothing.

        An earlier summary of the same run with more files is kept.

        Returns:
            The summary's path; None if there are no files.

        Raises:
            OSError: it could not be written.
        """
        if not self.files:
            return None
        path = folder / self.files[0].name
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and len(json.loads(path.read_bytes())["files"]) > len(self.files):
            return path
        put(path, self.to_json().encode())
        return path


def _flat(file: FileCounts) -> dict[str, object]:
    row = asdict(file)
    counts = row.pop("counts")
    first = {key: row.pop(key) for key in ("number", "table", "name", "lines")}
    return {**first, **counts, **row}
