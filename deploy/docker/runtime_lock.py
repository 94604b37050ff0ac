"""The part of requirements.lock that a job needs, hashes and all, without the tools of development.

python runtime_lock.py requirements.lock            what the package needs, and what that needs
python runtime_lock.py requirements.lock --build    what builds the packages that come as source

The lock tells in a comment who asked for each package; what nobody at run time asked for is
left out.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGE = "medallion-jobs (pyproject.toml)"
BUILD = {"setuptools", "wheel", "packaging"}
_ENTRY = re.compile(r"^[A-Za-z0-9].*\n(?:[ \t]+.*\n)*", re.MULTILINE)
_ASKED_FOR_BY = re.compile(r"^    # +(?:via)? *(\S.*)$", re.MULTILINE)


def entries(lock: str) -> dict[str, list[str]]:
    """The lock's entries by the package's name; one may have several, each for some Pythons."""
    found: dict[str, list[str]] = {}
    for entry in _ENTRY.findall(lock):
        found.setdefault(entry.partition("==")[0], []).append(entry)
    return found


def at_run_time(lock: str) -> dict[str, list[str]]:
    """The entries that the package needs, and those that these need, and so on."""
    known = entries(lock)
    asked_by = {
        name: {who for entry in told for who in _ASKED_FOR_BY.findall(entry)}
        for name, told in known.items()
    }
    needed = {PACKAGE}
    while more := {name for name, who in asked_by.items() if who & needed} - needed:
        needed |= more
    return {name: told for name, told in known.items() if name in needed}


def main(path: str, *options: str) -> None:
    """Prints one of the two parts."""
    lock = Path(path).read_text(encoding="utf-8")
    if options == ("--build",):
        chosen = {name: told for name, told in entries(lock).items() if name in BUILD}
    else:
        chosen = at_run_time(lock)
    sys.stdout.writelines(entry for told in chosen.values() for entry in told)


if __name__ == "__main__":
    main(*sys.argv[1:])
