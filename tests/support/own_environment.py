"""Environments of their own for schedulers, whose packages do not go with those of the jobs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from medallion_jobs.runtime.cache import cache_dir, locked
from support.lake import ROOT


def bin_of(scheduler: str) -> Path:
    """The programs of `deploy/<scheduler>/requirements.txt`, installed once for each content."""
    wanted = ROOT / "deploy" / scheduler / "requirements.txt"
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache_dir() / "schedulers" / f"{scheduler}-{digest}"
    with locked(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            venv.create(folder, with_pip=True, clear=True)
            install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            subprocess.run(["nice", "-n", "10", *install, "--requirement", str(wanted)], check=True)
            (folder / "complete").touch()
    return folder / "bin"
