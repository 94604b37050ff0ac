"""The kinds of dirt in transactions, beyond the mess that this feed always has."""

from __future__ import annotations

from random import Random

from medallion_jobs.generator.dirt import Spoil, broken_line, with_fields, without_one_of
from medallion_jobs.generator.plan import FileOrder


def _wrong_type(line: str, rng: Random, order: FileOrder) -> str:  # noqa: ARG001
    return with_fields(line, user_id=rng.choice(("guest", 1.5, [7])))


def _unreadable_amount(line: str, rng: Random, order: FileOrder) -> str:  # noqa: ARG001
    return with_fields(line, amount=rng.choice(("n/a", "12,50", "")))


def _unreadable_time(line: str, rng: Random, order: FileOrder) -> str:  # noqa: ARG001
    return with_fields(line, timestamp=rng.choice(("yesterday", "2026/01/31", "")))


def _unreadable_metadata(line: str, rng: Random, order: FileOrder) -> str:  # noqa: ARG001
    return with_fields(line, raw_metadata=rng.choice(("none", "", "source=web")))


KINDS: dict[str, Spoil] = {
    "broken_line": broken_line,
    "wrong_type": _wrong_type,
    "missing_field": without_one_of(("user_id", "amount", "timestamp", "raw_metadata")),
    "unreadable_amount": _unreadable_amount,
    "unreadable_time": _unreadable_time,
    "unreadable_metadata": _unreadable_metadata,
}
"""Each kind of dirt; `duplicate` is added by `spoil_lines`."""
