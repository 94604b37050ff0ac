"""The time that rows are written with: now, or a fixed time in a user's test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

# Not a context variable: batches run on threads that Spark starts.
_fixed: datetime | None = None


def now() -> datetime:
    """The current time in UTC, with its zone."""
    return _fixed or datetime.now(timezone.utc)


@contextmanager
def fixed_at(moment: datetime) -> Iterator[None]:
    """Has `now` give this time, in all threads, as long as the block runs."""
    global _fixed  # noqa: PLW0603
    before, _fixed = _fixed, moment
    try:
        yield
    finally:
        _fixed = before
