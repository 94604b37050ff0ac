"""`medallion`, but it dies as by kill -9 when the good lines are committed and the bad are not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from medallion_jobs import tables
from medallion_jobs.cli import main

append = tables.append


def _append_or_die(rows: Any, path: Path, txn: tables.Txn) -> None:
    if "quarantine" in path.parts:
        os._exit(137)
    append(rows, path, txn)


tables.append = _append_or_die
main()
