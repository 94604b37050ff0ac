"""What the generator did, line by line accounted for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from medallion_jobs.generator.plan import Plan
from medallion_jobs.storage import Location, put


@dataclass(frozen=True, kw_only=True)
class FileCounts:
    """One file.

    Args:
        number: which file of the run it is, or came with, from 1.
        table: the bronze table in whose landing folder it is.
        name: its name there.
        lines: all its lines.
        counts: lines of each kind; they add up to `lines`.
        new_column: lines that are JSON objects and carry the new column.
        repeats: lines that repeat another by the feed's own way, not as dirt.
        already_there: it was in the folder, byte for byte, and was left alone.
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
    """One run.

    Args:
        feed: which feed.
        plan: what was asked for; the same plan makes the same files again.
        kinds: the kinds of dirt that are counted.
        files: what was made, in order.
        seconds: how long the files took.
        behind_seconds: with a rate, how late the latest file was.
        stopped: whether somebody asked to stop before the end.
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
        """How many of the plan's files were made, not counting those of dimensions."""
        return len({file.number for file in self.files})

    @property
    def rows_per_second(self) -> int:
        """Lines made a second, over the whole run."""
        return round(self.totals["lines"] / self.seconds) if self.seconds else 0

    def to_json(self) -> str:
        """All of it as one JSON object, a file a line, for people to read too."""
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
        """Writes it to `folder`, named by its first file; with no files there is nothing to say.

        An earlier summary of the same run that accounts for more files is kept.

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
