"""A disk of a few megabytes that a test may fill or make read-only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_MEGABYTES = 32


@dataclass(frozen=True)
class Disk:
    """A file system of its own, mounted at `path`."""

    path: Path

    @contextmanager
    def filled(self, *, free: int) -> Iterator[None]:
        """Full but for `free` bytes, as long as the context lasts."""
        stats = os.statvfs(self.path)
        ballast = self.path / "ballast"
        with ballast.open("wb") as out:
            os.posix_fallocate(out.fileno(), 0, stats.f_bavail * stats.f_frsize - free)
        try:
            yield
        finally:
            ballast.unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Writable by nobody, as long as the context lasts."""
        _mount("-o", "remount,ro", str(self.path))
        try:
            yield
        finally:
            _mount("-o", "remount,rw", str(self.path))


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """Mounts one in memory; skips the test where this user may not mount."""
    folder.mkdir(parents=True)
    try:
        _mount("-t", "tmpfs", "-o", f"size={_MEGABYTES}m", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this user may not mount a file system: {error}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
