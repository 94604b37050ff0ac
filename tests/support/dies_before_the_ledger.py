"""`medallion`, but it dies as by kill -9 when bronze is committed and the ledger is not."""

from __future__ import annotations

import os

from medallion_jobs.autoloader import Ledger
from medallion_jobs.cli import main


def _die(*_: object) -> None:
    os._exit(137)


Ledger.record = _die  # type: ignore[method-assign]
main()
