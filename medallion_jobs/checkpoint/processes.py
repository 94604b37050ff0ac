"""Whether a process of this machine still runs, safe against reused process ids."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def birth(pid: int) -> str | None:
    """The start time of a process, in the system's own format; None if it does not run.

    The system reuses process ids after a while, but not with the same start time.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # Field 22; counted after the command's name, which may contain spaces and brackets.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] == "Z" else fields[19]
    result = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or None


def is_alive(pid: int, born: str) -> bool:
    """Whether the process `pid` that was started at `born` still runs."""
    return birth(pid) == born


def own_birth() -> str:
    """The start time of this process."""
    return birth(os.getpid()) or ""
