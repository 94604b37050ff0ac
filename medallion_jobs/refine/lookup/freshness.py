"""Dimensions that are older than a lookup allows."""

from __future__ import annotations

from datetime import datetime

from medallion_jobs.config.units import format_time
from medallion_jobs.errors import DataError
from medallion_jobs.refine.lookup.dimension import Dimension


def stale(dimension: Dimension, now: datetime) -> str | None:
    """What to remark of a dimension that is older than its `max_age`; None of one that is not.

    Args:
        now: the batch's moment, with a time zone.

    Raises:
        DataError: it is older, and `when_stale` is fail.
    """
    lookup = dimension.lookup
    if lookup.max_age is None or now - dimension.written_at <= lookup.max_age:
        return None
    limit = format_time(lookup.max_age)
    told = (
        f"{lookup.table} was written last at {dimension.written_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"longer ago than {limit}"
    )
    if lookup.when_stale == "warn":
        return told
    raise DataError(
        told,
        untouched="nothing of the batch is written",
        next_step=f"load {lookup.table}, then run again; or give the lookup a longer `max_age` "
        "or `when_stale: warn`",
    )
