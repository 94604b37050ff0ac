"""The rivals' environment, Java, jars, and the versions of all."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bench.processes import Failed
from medallion_jobs import __version__
from medallion_jobs.runtime.cache import cache_dir, locked
from medallion_jobs.runtime.jars import delta_jars
from medallion_jobs.runtime.java import find_java

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "requirements.txt"
_NAMED = re.compile(r"^([\w-]+)==", re.MULTILINE)


def rivals_python() -> Path:
    """The Python that has the rivals' packages; made the first time, which takes a minute or more.

    Raises:
        Failed: pip could not install them.
    """
    wanted = f"{sys.version_info[:2]}\n{REQUIREMENTS.read_text(encoding='utf-8')}"
    folder = cache_dir() / "bench" / hashlib.sha256(wanted.encode()).hexdigest()[:12]
    python: Path = folder / "venv" / "bin" / "python"
    with locked(folder / "lock", lambda line: print(line, file=sys.stderr)):
        stamp = folder / "complete"
        if not stamp.exists():
            print(f"the rivals' packages: into {folder}", file=sys.stderr, flush=True)
            shutil.rmtree(folder / "venv", ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder / "venv")])
            _run([str(python), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)])
            stamp.touch()
    return python


def rivals_environment() -> dict[str, str]:
    """What the rivals find in their environment: the Java and the Delta jars that we use."""
    return {
        "PYTHONPATH": "",
        "JAVA_HOME": str(find_java().home),
        "DELTA_JARS": ",".join(str(jar) for jar in delta_jars()),
    }


def medallion() -> str:
    """The `medallion` of PATH, or the one beside this Python.

    Raises:
        Failed: there is none.
    """
    beside = str(Path(sys.executable).parent)
    for path in (None, beside):
        if found := shutil.which("medallion", path=path):
            return found
    raise Failed("there is no `medallion` on PATH; `source .venv/bin/activate` first")


def set_up() -> None:
    """Has `medallion` make what it makes once for a machine, so that no round pays for it."""
    done = subprocess.run([medallion(), "setup"], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason"]
        print(f"medallion setup failed, starts may take longer: {lines[0]}", file=sys.stderr)


def machine() -> dict[str, str | int]:
    """The machine that all is measured on."""
    system = f"{platform.system()} on {platform.machine()}"
    return {"system": system, "cores": os.cpu_count() or 1, "memory_gib": _memory()}


def versions(python: Path) -> dict[str, str]:
    """Versions of all that takes part."""
    names = _NAMED.findall(REQUIREMENTS.read_text(encoding="utf-8"))
    code = (
        f"import json, importlib.metadata as m; print(json.dumps([m.version(n) for n in {names}]))"
    )
    found = dict(zip(names, json.loads(_run([str(python), "-c", code])), strict=True))
    java = subprocess.run(
        [str(find_java().home / "bin" / "java"), "-version"],
        capture_output=True,
        text=True,
        check=True,
    )
    quoted = re.search(r'"(.+?)"', java.stderr)
    shown = ("pyspark", "delta-spark", "dlt", "polars", "deltalake", "duckdb")
    return {
        "medallion-jobs": __version__,
        "Python": platform.python_version(),
        "Java": quoted[1] if quoted else java.stderr.split("\n")[0],
        **{name: found[name] for name in shown},
    }


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _run(line: list[str]) -> str:
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(line[:6])} ended with {done.returncode}:\n{done.stderr[-1500:]}")
    return done.stdout
