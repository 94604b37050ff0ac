"""Reading a command's words; mistakes in them are told as all of the package's are."""

from __future__ import annotations

import argparse
from typing import NoReturn

from medallion_jobs.errors import UsageError


class Parser(argparse.ArgumentParser):
    """An argument parser that raises."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, untouched="nothing was started", next_step=f"{self.prog} --help")
