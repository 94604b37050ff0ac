"""Periods: the hour, day, week, month or session that a row belongs to, by the business' clock.

Moments are instants (TIMESTAMP), and Spark's session is in UTC; the zone's clock is asked for
each of them.
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

# Columns of the rows and groups in between; no column of a table has a space.
MOMENT = "moment of row"
SESSION, NO_MOMENT = "session of row", "without moment"

_DATES = ("day", "week", "month")


def moment(rows: DataFrame, period: Period) -> Column:
    """The row's moment.

    Raises:
        UsageError: it is of a type that does not say when the row happened.
    """
    value = over_row(rows, period.of)
    kind = rows.select(value.alias("moment")).schema["moment"].dataType
    if not _tells(kind, period):
        raise UsageError(
            f"`{period.of}` is a {kind.simpleString()}, and a {period.by} is told by a timestamp"
            + (" or a date" if period.by in _DATES else ""),
            untouched="nothing was written",
            next_step="a clock's reading without a zone becomes a timestamp by "
            "to_utc_timestamp(…, 'Europe/Madrid'), a text by to_timestamp(…)",
        )
    return value


def _tells(kind: DataType, period: Period) -> bool:
    is_date = isinstance(kind, DateType) and period.by in _DATES
    return is_date or isinstance(kind, TimestampType)


def start(rows: DataFrame, period: Period, zone: str) -> Column:
    """Where the row's period begins: an hour by its first instant, the others by their date.

    A moment that is a date is a day of the business already.

    Raises:
        UsageError: see `moment`.
    """
    value = moment(rows, period)
    if period.by == "hour":
        return _hour(value, zone)
    # A date goes through unchanged only where no clock is asked.
    is_date = isinstance(rows.select(value.alias("moment")).schema["moment"].dataType, DateType)
    day = value if is_date else F.from_utc_timestamp(value, zone).cast("date")
    units = {"day": day, "week": F.trunc(day, "week"), "month": F.trunc(day, "month")}
    return units[period.by].cast("date")


def _hour(value: Column, zone: str) -> Column:
    """The first instant of the clock's hour.

    Counted back from the moment itself, so that two hours that read alike, when clocks go
    back, are two. Where the clock was changed in the midst of the hour (by half an hour, on
    Lord Howe Island), the hour begins with the change, or with what the clock reads before it.
    """
    since = _clock(value, zone) - F.date_trunc("hour", _clock(value, zone))
    counted = value - since
    minutes = F.sequence(counted, value, F.expr("INTERVAL 1 MINUTE"))
    changed = F.filter(minutes, lambda one: _offset(one, zone) == _offset(value, zone))
    return (
        F.when(_offset(counted, zone) == _offset(value, zone), counted)
        .when(
            _offset(counted, zone) < _offset(value, zone),
            F.to_utc_timestamp(F.date_trunc("hour", _clock(value, zone)), zone),
        )
        .otherwise(F.element_at(changed, 1))
    )


def _clock(value: Column, zone: str) -> Column:
    """What the zone's clock reads at an instant, as the instant at which UTC's reads so."""
    return F.from_utc_timestamp(value, zone)


def _offset(value: Column, zone: str) -> Column:
    return _clock(value, zone) - value


def session(period: Period) -> Column:
    """The session of a row that has its moment under `MOMENT`; see `NO_MOMENT`.

    Spark leaves out rows without a moment. They get one here, and are told apart by a key.
    """
    assert period.gap is not None  # the config's own check saw to it
    gap = f"{round(period.gap.total_seconds() * 1_000_000)} microseconds"
    known = F.coalesce(col(MOMENT), F.lit(0).cast("timestamp"))
    return F.session_window(known, gap).alias(SESSION)
