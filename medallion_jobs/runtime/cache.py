"""The cache of fetched files: outside the repository, shared by all clones of a user."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from medallion_jobs.errors import UsageError

INSTALLED_IN = Path(__file__).resolve().parents[2]  # the repository, or site-packages


def cache_dir() -> Path:
    """The folder for fetched files; creates it if it is missing.

    `$MEDALLION_CACHE`, else `$XDG_CACHE_HOME/medallion_jobs`, else `~/.cache/medallion_jobs`.

    Raises:
        UsageError: the folder lies inside the repository, or cannot be created.
    """
    folder = _chosen().resolve()
    if folder.is_relative_to(INSTALLED_IN):
        raise UsageError(
            f"the cache {folder} lies inside {INSTALLED_IN}",
            code="cache_inside_package",
            untouched="nothing was written",
            next_step="set MEDALLION_CACHE to a folder elsewhere, or unset it",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the cache {folder} cannot be created: {error.strerror}",
            code="cache_not_creatable",
            untouched="nothing was written",
            next_step="set MEDALLION_CACHE to a folder that you can write to",
        ) from error
    return folder


def _chosen() -> Path:
    named = os.environ.get("MEDALLION_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification ignores a relative value.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "medallion_jobs"


@contextmanager
def locked(path: Path, report: Callable[[str], None] = lambda _: None) -> Iterator[int]:
    """Holds an exclusive lock on `path`; reports when it has to wait for another holder.

    Yields the lock's file descriptor: a child process that inherits it also holds the lock.
    The system releases the lock when all holders are dead, so none is ever left behind.

    Args:
        path: the lock file.
        report: receives one line before a wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process, which holds {from_home(path)}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()


def from_home(path: Path) -> str:
    """`path` with `~` for the home folder."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
