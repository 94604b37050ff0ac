"""The kinds of dirt in log lines.

Each of them spoils the time, which keeps the line out of silver. So an event with one clean and
one dirty delivery still has only one content in silver.
"""

from __future__ import annotations

from random import Random

from medallion_jobs.generator.dirt import Spoil, broken_line, with_fields, without_one_of
from medallion_jobs.generator.plan import FileOrder


def _wrong_type(line: str, rng: Random, order: FileOrder) -> str:  # noqa: ARG001
    return with_fields(line, event_time=rng.choice(({"at": "noon"}, ["noon"])))


def _unreadable_time(line: str, rng: Random, order: FileOrder) -> str:
    seconds_since_1970 = int(order.now.timestamp())
    return with_fields(line, event_time=rng.choice(("yesterday", "31.12.2025", seconds_since_1970)))


KINDS: dict[str, Spoil] = {
    "broken_line": broken_line,
    "wrong_type": _wrong_type,
    "missing_field": without_one_of(("event_time",)),
    "unreadable_time": _unreadable_time,
}
"""Each kind of dirt; `duplicate` is added by `spoil_lines`."""
