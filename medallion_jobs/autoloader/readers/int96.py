"""Timestamps of 96 bits, as Hive, Impala and older programs write them to parquet files.

They have nanoseconds, and Spark drops the last three digits. So they are read as bytes, which only
Spark's slower reader does, the one that goes row by row. Spark itself writes no nanoseconds: the
timestamps of its own files are read as usual.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, TimestampType

from medallion_jobs.autoloader.readers.conversions import NOTHING_FITS, Conversion
from medallion_jobs.autoloader.readers.foreign_types import Foreign, floor, unsigned
from medallion_jobs.lake.tables.json_text import JSON_TEXT

_JULIAN_1970 = 2_440_588  # the Julian day of 1970-01-01
_DAY = 86_400_000_000  # in microseconds


@dataclass(frozen=True, eq=False)
class Int96(Foreign):
    """Nanoseconds of a day in eight bytes, and a Julian day in four, the lowest byte first.

    Attributes:
        truncate: whether digits below the microsecond are cut off; else such a value is rescued.
    """

    truncate: bool

    @property
    def new_column(self) -> DataType:
        return TimestampType()

    def text(self, value: Column) -> Column:
        moment = F.timestamp_micros(_micros(value))
        micros = F.date_format(moment, JSON_TEXT["timestampNTZFormat"])
        rest = F.pmod(_nanos(value), F.lit(1_000))
        digits = F.when(rest == 0, "").otherwise(F.format_string("%03d", rest))
        # A day beyond all timestamps.
        return F.coalesce(F.concat(micros, digits, F.lit("Z")), F.base64(value))

    def converted(self, wanted: DataType) -> Conversion:
        if wanted != self.new_column:
            return NOTHING_FITS

        def misfit(value: Column) -> Column:
            rest = F.lit(0) if self.truncate else F.pmod(_nanos(value), F.lit(1_000))
            return value.isNotNull() & (_micros(value).isNull() | (rest != 0))

        return Conversion(lambda v: F.when(~misfit(v), F.timestamp_micros(_micros(v))), misfit)


def _nanos(value: Column) -> Column:
    """Since midnight; null if there are more than a bigint holds."""
    return unsigned(value, 0, 8)


def _micros(value: Column) -> Column:
    """Since 1970; null if a timestamp does not hold them."""
    days = unsigned(value, 8, 4) - _JULIAN_1970
    return F.try_add(F.try_multiply(days, F.lit(_DAY)), floor(_nanos(value), 1_000))


def row_by_row(spark: SparkSession) -> SparkSession:
    """A session whose reader of parquet files goes row by row."""
    made = SparkSession(spark.sparkContext, spark._jsparkSession.cloneSession())
    made.conf.set("spark.sql.parquet.enableVectorizedReader", "false")
    return made
