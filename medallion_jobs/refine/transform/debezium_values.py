"""The values of a row in Debezium's JSON, read as columns.

A number may stand for a date (days since 1970), a timestamp (since 1970, in one of three units) or
a decimal (its unscaled value, as bytes in base64). What it stands for is in the schema of the
message, if there is one, else in the config. Names of types are those of Debezium and of Kafka
Connect; see "Data type mappings" in the documentation of Debezium's PostgreSQL connector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DateType,
    DecimalType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.config import Envelope, ValueForm
from medallion_jobs.lake.values import scalars, strict
from medallion_jobs.lake.values.json_parts import decoded, elements, let, member, members
from medallion_jobs.lake.values.type_walk import is_nested
from medallion_jobs.refine.transform.casts import in_calendar

if TYPE_CHECKING:
    from pyspark.sql import Column

_WHOLE = r"^-?[0-9]+$"
_UNSCALED = DecimalType(38, 0)
_BYTE = 256
# By the last part of a semantic type's name: the unit of a timestamp.
_UNITS = {"Timestamp": "millis", "MicroTimestamp": "micros", "NanoTimestamp": "nanos"}
# The years 1 to 9999; beyond them Spark's functions fail or overflow.
_MICROS = (-62_135_596_800_000_000, 253_402_300_799_999_999)


@dataclass(frozen=True)
class Meaning:
    """What the schema in a message says about a column; nulls without a schema.

    Attributes:
        kind: Kafka Connect's type, such as `int64` or `bytes`.
        name: the semantic type's name, such as `io.debezium.time.MicroTimestamp`.
        scale: of a decimal (int).
    """

    kind: Column
    name: Column
    scale: Column


@dataclass(frozen=True)
class ValueReader:
    """Reads the values of one column.

    Attributes:
        form: the unit of its timestamps, or the form of its decimals, by the config.
        meaning: what the schema in the message has about the column.
    """

    kind: DataType
    form: ValueForm
    meaning: Meaning

    @classmethod
    def of(cls, name: str, kind: DataType, meaning: Meaning, envelope: Envelope) -> ValueReader:
        item = kind.elementType if isinstance(kind, ArrayType) else kind
        of_kind = envelope.decimals if isinstance(item, DecimalType) else envelope.timestamps
        return cls(kind, envelope.types.get(name, of_kind), meaning)

    def reading(self, raw: Column) -> Column:
        """A struct of the `value` of a raw JSON text, and whether it `fits` the type."""
        if isinstance(self.kind, ArrayType) and not is_nested(self.kind.elementType):
            item = self.kind.elementType
            return let(raw, lambda raw: self._of_array(raw, item))
        if is_nested(self.kind):
            return strict.reading_of_valid(raw, self.kind, {})
        return let(raw, lambda raw: self._of_scalar(raw, self.kind))

    def _of_array(self, raw: Column, item: DataType) -> Column:
        def result(reads: Column) -> Column:
            is_null = raw.isNull() | (raw == "null")
            fits = reads.isNotNull() & F.forall(reads, lambda found: found["fits"])
            values = F.transform(reads, lambda found: found["value"])
            return F.struct(values.alias("value"), (is_null | fits).alias("fits"))

        each = F.transform(elements(raw), lambda found: self._of_scalar(found, item))
        return let(each, result)

    def _of_scalar(self, raw: Column, kind: DataType) -> Column:
        def read(text: Column) -> Column:
            return let(self._value(raw, text, kind), result)

        def result(value: Column) -> Column:
            is_null = raw.isNull() | (raw == "null")
            return F.struct(value.alias("value"), (is_null | value.isNotNull()).alias("fits"))

        return let(decoded(raw), read)

    def _value(self, raw: Column, text: Column, kind: DataType) -> Column:
        """The value; null if it does not fit.

        Args:
            text: `raw` without quotes and escapes.
        """
        is_number = text.rlike(_WHOLE) & ~F.startswith(raw, F.lit('"'))
        if isinstance(kind, DateType):
            days = F.date_from_unix_date(text.try_cast("int"))
            return in_calendar(F.when(is_number, days).otherwise(scalars.value(text, kind)), kind)
        if isinstance(kind, TimestampType | TimestampNTZType):
            micros = self._micros(text.try_cast(_UNSCALED)).try_cast("bigint")
            in_range = F.when(micros.between(*_MICROS), micros)
            # The zone of the session is UTC, so both types show the same clock.
            moment = F.timestamp_micros(in_range).cast(kind)
            return in_calendar(F.when(is_number, moment).otherwise(scalars.value(text, kind)), kind)
        if isinstance(kind, DecimalType):
            return self._decimal(raw, text, kind)
        if isinstance(kind, BinaryType):
            return F.try_to_binary(text, F.lit("base64"))
        return scalars.value(text, kind)

    def _micros(self, number: Column) -> Column:
        """Microseconds of a number; null where digits below them would be lost."""
        name = F.substring_index(self.meaning.name, ".", -1)
        pairs = [F.lit(text) for pair in _UNITS.items() for text in pair]
        unit = F.coalesce(F.element_at(F.create_map(*pairs), name), F.lit(self.form))
        thousand = F.lit(1_000).cast(_UNSCALED)
        return (
            F.when(unit == "millis", F.try_multiply(number, thousand))
            .when(unit != "nanos", number)
            .when(number % thousand == 0, F.floor(number / thousand))
        )

    def _decimal(self, raw: Column, text: Column, kind: DecimalType) -> Column:
        """A decimal: a number, its text, its bytes in base64, or an object of these and a scale."""
        is_object = F.startswith(raw, F.lit("{"))
        is_bytes = F.startswith(raw, F.lit('"')) & F.coalesce(
            self.meaning.kind == "bytes", F.lit(self.form == "precise")
        )

        def of(parts: Column) -> Column:
            scale = decoded(member(parts, "scale")).try_cast("int")
            unscaled = F.coalesce(decoded(member(parts, "value")), text)
            known = F.coalesce(scale, self.meaning.scale, F.lit(kind.scale))
            return F.when(is_object | is_bytes, _scaled(unscaled, known)).otherwise(text)

        plain = let(F.when(is_object, members(raw)), of)
        return let(plain, lambda text: scalars.value(text, kind))


def _scaled(text: Column, scale: Column) -> Column:
    """The text of a decimal, from the bytes of its unscaled value in base64 and its scale."""
    digits = F.hex(F.try_to_binary(text, F.lit("base64")))
    each = F.transform(
        F.sequence(F.lit(1), F.length(digits) - 1, F.lit(2)),
        lambda place: F.conv(F.substring(digits, place, F.lit(2)), 16, 10).cast("int"),
    )
    # The first byte has the sign. A negative number is one less than the negated complement, of
    # which no part is larger than the whole: a sum beside it could overflow.

    def with_byte(number: Column, byte: Column) -> Column:
        higher = F.try_multiply(number, F.lit(_BYTE).cast(_UNSCALED))
        return F.try_add(higher, byte.cast(_UNSCALED)).try_cast(_UNSCALED)

    def of_bytes(each: Column) -> Column:
        return F.aggregate(each, F.lit(0).cast(_UNSCALED), with_byte)

    def of_sign(each: Column) -> Column:
        is_negative = F.get(each, F.lit(0)) >= _BYTE // 2
        complement = F.transform(each, lambda byte: F.lit(_BYTE - 1) - byte)
        size = let(F.when(is_negative, complement).otherwise(each), of_bytes)
        # Not `-size`: Spark's negation of a decimal keeps only 34 digits, and so does `abs`.
        less = F.try_subtract(F.lit(-1).cast(_UNSCALED), size).try_cast(_UNSCALED)
        return F.when(is_negative, less).otherwise(size)

    def pointed(number: Column) -> Column:
        whole = F.ltrim(number.cast("string"), F.lit("-"))
        whole = F.lpad(whole, F.greatest(F.length(whole), scale + 1), F.lit("0"))
        left = F.length(whole) - scale
        text = F.concat(
            F.when(number < 0, "-").otherwise(""),
            F.substring(whole, F.lit(1), left),
            F.lit("."),
            F.substring(whole, left + 1, scale),
        )
        zeros = F.repeat(F.lit("0"), -scale)
        return F.when(scale > 0, text).otherwise(F.concat(number.cast("string"), zeros))

    return F.when(F.length(digits) > 0, let(let(each, of_sign), pointed))
