"""An archive of a Python with the package's dependencies, for drivers on bare nodes."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path

from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.runtime.cache import INSTALLED_IN, cache_dir, from_home, locked

PACKAGE = "medallion-jobs"
# Spark provides it to every driver, and it is two thirds of the size.
WITH_SPARK = "pyspark"


def packed_environment(report: Callable[[str], None]) -> Path:
    """The archive for `--archives`, created once for each state of the lock file.

    It is a virtual environment, so the nodes need the same Python at the same path.

    Raises:
        UsageError: there is no lock file, or venv-pack2 is not installed.
        TransientError: a package could not be installed.
    """
    lock = INSTALLED_IN / "requirements.lock"
    if not lock.is_file():
        raise UsageError(
            f"{lock} is missing, so no environment can be packed",
            code="no_lock_file",
            untouched="nothing was started",
            next_step="run this in a clone of the repository, or pass your own archive: "
            "--environment FILE",
        )
    if find_spec("venv_pack") is None:
        raise UsageError(
            "venv-pack2, which packs environments, is not installed",
            code="no_venv_pack",
            untouched="nothing was started",
            next_step=f"{sys.executable} -m pip install venv-pack2",
        )
    wanted = "".join(_locked(lock.read_text(encoding="utf-8"), set(dependencies(PACKAGE))))
    digest = hashlib.sha256(f"{sys.version}\0{wanted}".encode()).hexdigest()[:16]
    folder = cache_dir() / "submit"
    archive = folder / f"environment-{digest}.tar.gz"
    with locked(folder / ".environment.lock", report):
        if not archive.exists():
            report(f"environment  packing {wanted.count('==')} packages, once; this takes minutes")
            _pack(wanted, archive)
    report(f"environment  {from_home(archive)}")
    return archive


def dependencies(name: str) -> Iterator[str]:
    """The direct and indirect dependencies of the package in this environment."""
    waiting, seen = [name], set()
    while waiting:
        for line in requires(waiting.pop()) or ():
            needed, _, marker = line.partition(";")
            match = re.match(r"[\w.-]+", needed)
            if match is None or "extra" in marker:
                continue
            found = _canonical(match[0])
            if found in seen or found == WITH_SPARK or not _is_installed(found):
                continue
            seen.add(found)
            waiting.append(found)
            yield found


def _is_installed(name: str) -> bool:
    try:
        requires(name)
    except PackageNotFoundError:  # for another platform or Python
        return False
    return True


def _locked(lock: str, names: set[str]) -> Iterator[str]:
    """The entries of a lock file for these packages, with their hashes."""
    for entry in re.findall(r"^\S+==.*\n(?:[ \t]+--hash.*\n)*", lock, re.MULTILINE):
        if _canonical(entry.partition("==")[0]) in names:
            yield entry


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pack(wanted: str, archive: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="medallion-environment-") as work:
        prefix, lock = Path(work) / "venv", Path(work) / "wanted.lock"
        lock.write_text(wanted, encoding="utf-8")
        part = archive.with_name(f".{archive.name}")
        _python("venv", "--without-pip", str(prefix))
        pip = ("pip", "--python", str(prefix / "bin" / "python"), "install", "--quiet")
        _python(*pip, "--no-deps", "--require-hashes", "-r", str(lock))
        pack = ("venv_pack", "--quiet", "--force", "--format", "tar.gz")
        _python(*pack, "--prefix", str(prefix), "--output", str(part))
        shutil.move(part, archive)


def _python(module: str, *arguments: str) -> None:
    line = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        output = done.stderr.strip().splitlines() or ["no output"]
        raise TransientError(
            f"python -m {module} ended with {done.returncode}: {output[-1]}",
            code="packing_failed",
            untouched="nothing was started, and no archive was created",
            next_step="run the same command again; for a proxy or a mirror see docs/setup.md",
        )
