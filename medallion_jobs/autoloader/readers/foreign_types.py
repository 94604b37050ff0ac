"""Types of parquet and avro files that Spark does not have, or does not read.

Spark's reader is asked for what such a column consists of, such as a whole number or bytes.
The value is then converted to a column's type, or to the text that stands in `_rescued_data`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BinaryType,
    DataType,
    DecimalType,
    FloatType,
    IntegerType,
    LongType,
    NullType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.autoloader.readers import conversions
from medallion_jobs.autoloader.readers.conversions import NOTHING_FITS, Conversion
from medallion_jobs.lake.values.json_parts import let

_SECONDS = "yyyy-MM-dd'T'HH:mm:ss"
_MICROSECOND, _SECOND = 1_000, 1_000_000_000  # in nanoseconds
_DIGITS = "0123456789ABCDEF"
_LIMB = 1_000_000_000  # long decimals are computed with nine digits at a time


@dataclass(frozen=True, eq=False)
class Foreign(DataType):
    """A type that Spark does not have."""

    @property
    def read(self) -> DataType:
        """The type that Spark's reader is asked for."""
        return BinaryType()

    @property
    def new_column(self) -> DataType:
        """The type of a new column for it; NullType if no table gets one."""
        return NullType()

    def shown(self, value: Column) -> Column:
        """The exact value, for `_rescued_data`; null for null."""
        return F.when(value.isNotNull(), self.text(value))

    def text(self, value: Column) -> Column:
        """The same of a value that is not null; as it is read, unless a subclass says more."""
        return value

    def converted(self, wanted: DataType) -> Conversion:  # noqa: ARG002 (for subclasses)
        """What becomes of the type read in a column of another type."""
        return NOTHING_FITS

    def jsonValue(self) -> str:  # noqa: N802 (as Spark calls it)
        return repr(self)


@dataclass(frozen=True, eq=False)
class Unread(Foreign):
    """A type that Spark's reader does not know: its bytes, or its number, are rescued."""

    kind: DataType

    @property
    def read(self) -> DataType:
        return self.kind


@dataclass(frozen=True, eq=False)
class NoType(Foreign):
    """A column that has only nulls, and no type yet.

    Attributes:
        kind: what its nulls are stored as.
    """

    kind: DataType

    @property
    def read(self) -> DataType:
        return self.kind

    def converted(self, wanted: DataType) -> Conversion:
        return conversions.scalar(NullType(), wanted)


@dataclass(frozen=True, eq=False)
class Nanoseconds(Foreign):
    """A moment in nanoseconds since 1970; Spark's timestamps have microseconds.

    Attributes:
        utc: whether it is a moment; else a date and time without a zone.
        truncate: whether digits below the microsecond are cut off; else such a value is rescued.
    """

    utc: bool
    truncate: bool

    @property
    def read(self) -> DataType:
        return LongType()

    @property
    def new_column(self) -> DataType:
        return TimestampType() if self.utc else TimestampNTZType()

    def text(self, value: Column) -> Column:
        return F.concat(
            F.date_format(_without_zone(value), _SECONDS),
            F.format_string(".%09dZ" if self.utc else ".%09d", F.pmod(value, F.lit(_SECOND))),
        )

    def converted(self, wanted: DataType) -> Conversion:
        if wanted != self.new_column:
            return NOTHING_FITS
        whole = F.timestamp_micros if self.utc else _from_micros

        def misfit(value: Column) -> Column:
            return F.pmod(value, F.lit(_MICROSECOND)) != 0

        if self.truncate:
            return Conversion(lambda value: whole(floor(value, _MICROSECOND)))
        return Conversion(
            lambda value: F.when(~misfit(value), whole(floor(value, _MICROSECOND))), misfit
        )


@dataclass(frozen=True, eq=False)
class TimeOfDay(Foreign):
    """A time of day, as a number since midnight.

    Attributes:
        digits: 3 for milliseconds, 6 for microseconds, 9 for nanoseconds.
    """

    digits: int

    @property
    def read(self) -> DataType:
        return IntegerType() if self.digits == 3 else LongType()  # noqa: PLR2004

    def text(self, value: Column) -> Column:
        second = 10**self.digits
        seconds = floor(value, second)
        minutes = floor(seconds, 60)
        return F.format_string(
            f"%02d:%02d:%02d.%0{self.digits}d",
            floor(minutes, 60),
            F.pmod(minutes, F.lit(60)),
            F.pmod(seconds, F.lit(60)),
            F.pmod(value.cast("bigint"), F.lit(second)),
        )


class Uuid(Foreign):
    """A UUID, as 16 bytes."""

    @property
    def new_column(self) -> DataType:
        return StringType()

    def text(self, value: Column) -> Column:
        digits = F.lower(F.hex(value))
        parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
        return F.concat_ws("-", *(F.substring(digits, at, length) for at, length in parts))

    def converted(self, wanted: DataType) -> Conversion:
        return Conversion(self.shown) if type(wanted) is StringType else NOTHING_FITS


class HalfFloat(Foreign):
    """A float of 16 bits, the lower byte first."""

    @property
    def new_column(self) -> DataType:
        return FloatType()

    def text(self, value: Column) -> Column:
        # As a double: the shortest text of the float is another number.
        bits = unsigned(value, 0, 2)
        sign = F.when(F.getbit(bits, F.lit(15)) == 1, -1.0).otherwise(1.0)
        exponent = F.shiftright(bits, 10).bitwiseAND(F.lit(31))
        fraction = bits.bitwiseAND(F.lit(1023)).cast("double")
        return sign * (
            F.when(exponent == 0, fraction * 2.0**-24)
            .when(exponent < 31, (fraction / 1024 + 1) * F.pow(F.lit(2.0), exponent - 15))  # noqa: PLR2004
            .when(fraction == 0, F.lit(float("inf")))
            .otherwise(F.lit(float("nan")))
        )

    def converted(self, wanted: DataType) -> Conversion:
        of_floats = conversions.scalar(FloatType(), wanted)
        make, misfit = of_floats.value, of_floats.misfit
        if make is None:
            return NOTHING_FITS

        def number(value: Column) -> Column:
            return self.shown(value).cast("float")

        return Conversion(
            lambda value: make(number(value)), misfit and (lambda value: misfit(number(value)))
        )


class Interval(Foreign):
    """Months, days and milliseconds, each as four bytes, the lowest first."""

    def text(self, value: Column) -> Column:
        parts = (unsigned(value, at, 4).cast("string") for at in (0, 4, 8))
        months, days, millis = parts
        return F.concat(months, F.lit(" months "), days, F.lit(" days "), millis, F.lit(" ms"))


@dataclass(frozen=True, eq=False)
class LongDecimal(Foreign):
    """A decimal of more digits than Spark's 38: a whole number in bytes, the highest first.

    Attributes:
        scale: digits after the point.
    """

    scale: int

    def text(self, value: Column) -> Column:
        return let(F.hex(value), self._of_digits)

    def _of_digits(self, digits: Column) -> Column:
        """The number in hexadecimal digits."""
        negative = F.left(digits, F.lit(1)) >= "8"
        # The bits of a negative number are inverted, which is one too few.
        positive = F.when(negative, F.translate(digits, _DIGITS, _DIGITS[::-1])).otherwise(digits)
        size = F.greatest(F.ceil(F.length(digits) / 6), F.lit(1)).cast("int")
        padded = F.lpad(positive, size * 6, F.lit("0"))
        pieces = F.transform(
            F.sequence(F.lit(0), size - 1),
            lambda at: F.conv(F.substring(padded, at * 6 + 1, F.lit(6)), 16, 10).cast("bigint"),
        )
        zeros = F.array_repeat(F.lit(0).cast("bigint"), size)
        number = F.aggregate(pieces, zeros, lambda done, piece: _times(done, 1 << 24, piece))
        number = _times(number, 1, F.when(negative, 1).otherwise(0))
        limbs = F.transform(F.reverse(number), lambda limb: F.format_string("%09d", limb))
        shown = let(F.regexp_replace(F.array_join(limbs, ""), "^0+", ""), self._with_point)
        return F.concat(F.when(negative, "-").otherwise(""), shown)

    def converted(self, wanted: DataType) -> Conversion:
        if not isinstance(wanted, DecimalType) or wanted.scale < self.scale:
            return NOTHING_FITS

        def number(value: Column) -> Column:
            return self.shown(value).try_cast(wanted)

        return Conversion(number, lambda value: value.isNotNull() & number(value).isNull())

    def _with_point(self, digits: Column) -> Column:
        size = F.greatest(F.length(digits), F.lit(self.scale + 1))
        padded = F.lpad(digits, size, F.lit("0"))
        if not self.scale:
            return padded
        whole = F.left(padded, size - self.scale)
        return F.concat(whole, F.lit("."), F.right(padded, F.lit(self.scale)))


def _times(number: Column, factor: int, more: Column) -> Column:
    """A long number, the lowest nine digits first, times a factor, plus some more."""
    empty = F.array().cast("array<bigint>")
    start = F.struct(empty.alias("limbs"), more.cast("bigint").alias("carry"))

    def add(done: Column, limb: Column) -> Column:
        total = limb * F.lit(factor).cast("bigint") + done["carry"]
        digits = F.array_append(done["limbs"], F.pmod(total, F.lit(_LIMB).cast("bigint")))
        return F.struct(digits.alias("limbs"), floor(total, _LIMB).alias("carry"))

    return F.aggregate(number, start, add, lambda done: done["limbs"])


def unsigned(value: Column, at: int, length: int) -> Column:
    """The number in some bytes of a value, the lowest byte first; null if no bigint holds it."""
    digits = F.hex(value)
    places = range(at + length - 1, at - 1, -1)
    ordered = F.concat(*(F.substring(digits, place * 2 + 1, 2) for place in places))
    return F.conv(ordered, 16, 10).try_cast("bigint")


def floor(value: Column, by: int) -> Column:
    """A whole number divided by another one, rounded down."""
    number, divisor = value.cast("bigint"), F.lit(by).cast("bigint")
    below = (number < 0) & (F.pmod(number, divisor) != 0)
    return F.call_function("div", number, divisor) - F.when(below, 1).otherwise(0)


def _from_micros(micros: Column) -> Column:
    """The date and time so many microseconds after 1970 began."""
    start = F.lit("1970-01-01").cast("timestamp_ntz")
    return F.timestamp_add("MICROSECOND", micros, start)


def _without_zone(nanoseconds: Column) -> Column:
    return _from_micros(floor(nanoseconds, _MICROSECOND))
