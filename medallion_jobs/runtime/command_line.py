"""Parses command lines; mistakes become the package's own errors."""

from __future__ import annotations

import argparse
from typing import NoReturn

from medallion_jobs.errors import UsageError


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(
            message,
            code="invalid_command_line",
            untouched="nothing was started",
            next_step=f"{self.prog} --help",
        )
