"""Which file systems have reliable modification times of folders."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
# These update a folder's time with each name that is added, renamed or removed. Buckets that
# are mounted as folders do not; network file systems have another clock, and caches.
_RELIABLE = frozenset(
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs", "overlay", "jfs"]
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


def keeps_times(folder: str) -> bool:
    """Whether a folder's modification time changes whenever its names do.

    Without a mount table (macOS), this is assumed: the system's own disks do so.
    """
    if not _TABLE.exists():
        return True
    return _kind(str(Path(folder).resolve()), _TABLE.read_text("utf-8")) in _RELIABLE


@lru_cache(64)
def _kind(path: str, table: str) -> str:
    """The type of a path's file system; of several mounts at one point, the last one counts."""
    deepest, kind = "", ""
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        point = _ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), left.split(" ")[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(deepest):
            deepest, kind = point, right.split(" ")[0]
    return kind
