"""Helpers for feeds of JSON lines: the names, bytes and hours of files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from medallion_jobs.generator.plan import Plan

# So far before `now`, so that 720 files of one hour each are in the past.
_BEFORE_NOW = timedelta(days=30)


def file_name(table: str, number: int, rng: Random) -> str:
    """`TABLE_NUMBER_UUID.json`: sorted by name, files are in the order in which they were made."""
    return f"{table}_{number:06}_{UUID(bytes=rng.randbytes(16), version=4)}.json"


def content(lines: Sequence[str]) -> bytes:
    """The lines as a file's bytes, each with its newline."""
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def hours_of(plan: Plan, number: int, hours: int = 1) -> datetime:
    """When the hours of file `number` begin, for feeds whose files must not share a moment.

    The hours of one file follow those of the file before, from 30 days before `now`. With a
    rate, `now` moves on as well, and there are gaps between them.
    """
    return plan.order(number).now - _BEFORE_NOW + (number - 1) * timedelta(hours=hours)
