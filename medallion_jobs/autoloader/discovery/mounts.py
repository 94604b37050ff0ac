"""Which file systems keep the times of their folders so that they can be relied upon."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
# These give a folder a new time with each name that is added, renamed or removed. Buckets
# mounted as folders do not, and those of another machine have its clock and its caches.
_RELIABLE = frozenset(
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs", "overlay", "jfs"]
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


def keeps_times(folder: str) -> bool:
    """Whether a folder's time of change tells that its names changed.

    Where the system has no table of mounts (macOS), its own disks do, and are trusted.
    """
    if not _TABLE.exists():
        return True
    return _kind(str(Path(folder).resolve()), _TABLE.read_text("utf-8")) in _RELIABLE


@lru_cache(64)
def _kind(path: str, table: str) -> str:
    """The kind of file system that a path lies on; of mounts at one place the last one shows."""
    deepest, kind = "", ""
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        point = _ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), left.split(" ")[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(deepest):
            deepest, kind = point, right.split(" ")[0]
    return kind
