"""Periods: the hour, day, week, month or session of a row, in the time zone of the business.

Moments are instants (TIMESTAMP), and Spark's session is in UTC; each is converted to local time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DateType, TimestampType

from medallion_jobs.config import Period
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col, over_row

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Hidden columns; no column of a table has a space.
MOMENT = "moment of row"
SESSION, NO_MOMENT = "session of row", "without moment"

_DATES = ("day", "week", "month")


def moment(rows: DataFrame, period: Period) -> Column:
    """The row's moment.

    Raises:
        UsageError: it is neither a timestamp nor, for a day, week or month, a date.
    """
    value = over_row(rows, period.of)
    kind = rows.select(value.alias("moment")).schema["moment"].dataType
    if not _is_moment(kind, period):
        raise UsageError(
            f"`{period.of}` is a {kind.simpleString()}, and a {period.by} needs a timestamp"
            + (" or a date" if period.by in _DATES else ""),
            code="period_needs_timestamp",
            untouched="nothing was written",
            next_step="convert local time without a zone by to_utc_timestamp(…, 'Europe/Madrid'), "
            "a text by to_timestamp(…)",
        )
    return value


def _is_moment(kind: DataType, period: Period) -> bool:
    is_date = isinstance(kind, DateType) and period.by in _DATES
    return is_date or isinstance(kind, TimestampType)


def start(rows: DataFrame, period: Period, zone: str) -> Column:
    """The start of the row's period: of an hour its first instant, of the others a date.

    A moment that is a date is already a local day.

    Raises:
        UsageError: see `moment`.
    """
    value = moment(rows, period)
    if period.by == "hour":
        return _hour(value, zone)
    # A date must not be converted to a time zone.
    is_date = isinstance(rows.select(value.alias("moment")).schema["moment"].dataType, DateType)
    day = value if is_date else F.from_utc_timestamp(value, zone).cast("date")
    units = {"day": day, "week": F.trunc(day, "week"), "month": F.trunc(day, "month")}
    return units[period.by].cast("date")


def _hour(value: Column, zone: str) -> Column:
    """The first instant of the local hour.

    It is computed by subtraction from the moment, so that the repeated hour when clocks go
    back is two hours. If the clock changed within the hour (by half an hour, on Lord Howe
    Island), the hour starts at the change, or at the local time before it.
    """
    since = _local(value, zone) - F.date_trunc("hour", _local(value, zone))
    counted = value - since
    minutes = F.sequence(counted, value, F.expr("INTERVAL 1 MINUTE"))
    changed = F.filter(minutes, lambda minute: _offset(minute, zone) == _offset(value, zone))
    return (
        F.when(_offset(counted, zone) == _offset(value, zone), counted)
        .when(
            _offset(counted, zone) < _offset(value, zone),
            F.to_utc_timestamp(F.date_trunc("hour", _local(value, zone)), zone),
        )
        .otherwise(F.element_at(changed, 1))
    )


def _local(value: Column, zone: str) -> Column:
    """The local time of an instant, as a timestamp that shows the same time in UTC."""
    return F.from_utc_timestamp(value, zone)


def _offset(value: Column, zone: str) -> Column:
    return _local(value, zone) - value


def session(period: Period) -> Column:
    """The session of a row, from its column `MOMENT`.

    Spark drops rows without a moment. They get a constant one here, and are separated from the
    others by `NO_MOMENT`.
    """
    assert period.gap is not None  # the config requires it
    gap = f"{round(period.gap.total_seconds() * 1_000_000)} microseconds"
    known = F.coalesce(col(MOMENT), F.lit(0).cast("timestamp"))
    return F.session_window(known, gap).alias(SESSION)
