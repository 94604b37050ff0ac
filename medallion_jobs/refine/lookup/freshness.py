"""Dimensions that are older than a lookup allows."""

from __future__ import annotations

from datetime import datetime

from medallion_jobs.config.units import format_time
from medallion_jobs.errors import DataError
from medallion_jobs.refine.lookup.dimension import Dimension


def stale(dimension: Dimension, now: datetime) -> str | None:
    """A remark if the dimension is older than the lookup's `max_age`, else None.

    Args:
        now: when the batch started, with a time zone.

    Raises:
        DataError: it is older, and `when_stale` is `fail`.
    """
    lookup = dimension.lookup
    if lookup.max_age is None or now - dimension.written_at <= lookup.max_age:
        return None
    limit = format_time(lookup.max_age)
    remark = (
        f"{lookup.table} was last written at {dimension.written_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"which is longer ago than {limit}"
    )
    if lookup.when_stale == "warn":
        return remark
    raise DataError(
        remark,
        code="dimension_too_old",
        untouched="nothing of the batch is written",
        next_step=f"load {lookup.table}, then run again; or give the lookup a longer `max_age` "
        "or `when_stale: warn`",
    )
