"""A Python with the package's dependencies as one archive, for drivers on bare nodes."""

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
# Spark brings its own to every driver, and it is two thirds of the whole.
WITH_SPARK = "pyspark"


def packed_environment(tell: Callable[[str], None]) -> Path:
    """The archive for `--archives`, made once for each state of the lock file.

    It holds a virtual environment, so the nodes need the same Python at the same place.

    Raises:
        UsageError: there is no lock file, or nothing to pack with.
        TransientError: a package could not be installed.
    """
    lock = INSTALLED_IN / "requirements.lock"
    if not lock.is_file():
        raise UsageError(
            f"there is no {lock} to make an environment of",
            untouched="nothing was started",
            next_step="run this in a clone of the repository, or name an archive of your own: "
            "--environment FILE",
        )
    if find_spec("venv_pack") is None:
        raise UsageError(
            "venv-pack2, which packs environments, is not installed",
            untouched="nothing was started",
            next_step=f"{sys.executable} -m pip install venv-pack2",
        )
    wanted = "".join(_locked(lock.read_text(encoding="utf-8"), set(dependencies(PACKAGE))))
    digest = hashlib.sha256(f"{sys.version}\0{wanted}".encode()).hexdigest()[:16]
    folder = cache_dir() / "submit"
    made = folder / f"environment-{digest}.tar.gz"
    with locked(folder / ".environment.lock", tell):
        if not made.exists():
            tell(f"environment  packing {wanted.count('==')} packages, once, which takes minutes")
            _pack(wanted, made)
    tell(f"environment  {from_home(made)}")
    return made


def dependencies(name: str) -> Iterator[str]:
    """The package's dependencies, and theirs, as this environment has them."""
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
    except PackageNotFoundError:  # of another platform or Python
        return False
    return True


def _locked(lock: str, names: set[str]) -> Iterator[str]:
    """The entries of a lock file for these packages, hashes and all."""
    for entry in re.findall(r"^\S+==.*\n(?:[ \t]+--hash.*\n)*", lock, re.MULTILINE):
        if _canonical(entry.partition("==")[0]) in names:
            yield entry


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pack(wanted: str, made: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="medallion-environment-") as work:
        prefix, lock = Path(work) / "venv", Path(work) / "wanted.lock"
        lock.write_text(wanted, encoding="utf-8")
        part = made.with_name(f".{made.name}")
        _python("venv", "--without-pip", str(prefix))
        pip = ("pip", "--python", str(prefix / "bin" / "python"), "install", "--quiet")
        _python(*pip, "--no-deps", "--require-hashes", "-r", str(lock))
        pack = ("venv_pack", "--quiet", "--force", "--format", "tar.gz")
        _python(*pack, "--prefix", str(prefix), "--output", str(part))
        shutil.move(part, made)


def _python(module: str, *words: str) -> None:
    line = [sys.executable, "-m", module, *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise TransientError(
            f"python -m {module} ended with {done.returncode}: {said[-1]}",
            untouched="nothing was started, and no archive was made",
            next_step="type the same command again; for a proxy or a mirror see docs/setup.md",
        )
