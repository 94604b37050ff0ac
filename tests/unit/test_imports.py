"""Jobs are imported before there is a session: nothing may ask for one while it is loaded."""

from __future__ import annotations

import subprocess
import sys


def test_every_module_can_be_imported_without_a_session() -> None:
    code = (
        "import importlib, pkgutil, medallion_jobs as package\n"
        "for one in pkgutil.walk_packages(package.__path__, 'medallion_jobs.'):\n"
        "    if not one.name.endswith('__main__'):\n"
        "        importlib.import_module(one.name)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
