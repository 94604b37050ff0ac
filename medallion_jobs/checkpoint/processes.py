"""Is a process of this machine still the one that we knew?"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def birth(pid: int) -> str | None:
    """When the process was started, as the system tells it, or None when there is none.

    A process id is used again after a while; the pair of id and birth is not.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # Field 22, counted after the command's name, which may hold spaces and brackets.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] == "Z" else fields[19]
    told = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or None


def is_alive(pid: int, born: str) -> bool:
    """Whether the process `pid` that was started at `born` still runs."""
    return birth(pid) == born


def own_birth() -> str:
    """When this process was started."""
    return birth(os.getpid()) or ""
