"""Promotion: what stands in `_rescued_data`, or in a column of another type, gets a column.

A row becomes what it would be if its file were read with that column. No file is read: the text
of a value that had no column, or did not fit it, is in `_rescued_data`. A text that does not fit
the new type stays there, and a text of a column that does not fit its new type is put there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    MapType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.autoloader.readers import csv_numbers
from medallion_jobs.lake.columns import INPUT_FILE, RESCUED, RESCUED_FILE
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values import json_parts, scalars, strict
from medallion_jobs.lake.values.type_walk import inside, is_nested, parts

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Have a space, as no column of a table has.
_MEMBERS, _PAIRS = "rescued members", "rescued pairs"
_TEXTS = "array<string>"
_LEAVES = (
    *(BooleanType, IntegralType, DecimalType, DoubleType, FloatType),
    *(StringType, DateType, TimestampType, TimestampNTZType),
)


@dataclass(frozen=True)
class Counts:
    """What a promotion does with the rows of a table, for one column.

    Attributes:
        rescued: rows with a value for it in `_rescued_data`.
        filled: those that get a value from there.
        unfit: those whose value does not fit, at least not as a whole; its text stays.
        put_back: rows whose text in the column does not fit; it is put into `_rescued_data`.
        lost: rows whose value in the column would be another one in the new type.
    """

    rescued: int
    filled: int
    unfit: int
    put_back: int
    lost: int


@dataclass(frozen=True)
class Promoted:
    """A column of a table as it is, and as it will be.

    Attributes:
        has: its type; None if the table does not have it.
        format: that of the files.
        options: those of the source, with the formats of numbers, dates and timestamps.
    """

    name: str
    has: DataType | None
    gets: DataType
    format: str
    options: Mapping[str, str]

    @property
    def of_texts(self) -> bool:
        """Whether `_rescued_data` has texts as they are in the files."""
        return self.format in ("json", "csv")

    @property
    def is_retyped(self) -> bool:
        """Whether data files hold the column in another type. New fields are no other type."""
        return self.has is not None and not is_nested(self.has) and self.has != self.gets

    def reason_against(self) -> str | None:
        """Why the column cannot get this type from what the table has; None if it can."""
        if wrong := [kind for kind in parts(self.gets) if not _is_promotable(kind)]:
            return f"a text of `{RESCUED}` is not read as {wrong[0].simpleString()}"
        if is_nested(self.gets) and not self.of_texts:
            return f"of these files, `{RESCUED}` does not hold parts of values as they were"
        if self.has is None or _is_convertible(self.has, self.gets):
            return None
        return f"its values are {self.has.simpleString()}, which is not read as this type"

    # Expressions over a row of the table, with the hidden columns of `_taken_apart`.

    @property
    def value(self) -> Column:
        """The value that the row gets."""
        if self.has is None:
            return self._read["value"]
        from_rescued = self._is_rescued
        if not is_nested(self.has):
            from_rescued = from_rescued & col(self.name).isNull()
        return F.when(from_rescued, self._read["value"]).otherwise(self._converted["value"])

    @property
    def leaves(self) -> Column:
        """Whether the value leaves `_rescued_data`. Never null."""
        leaves = self._is_rescued & self._read["fits"]
        if self.has is None or is_nested(self.has):
            return leaves
        return leaves & col(self.name).isNull()

    @property
    def is_put_back(self) -> Column:
        """Whether a text of the column does not fit its new type. Never null."""
        if not isinstance(self.has, StringType) or self.has == self.gets:
            return F.lit(False)
        return ~self._converted["fits"]

    @property
    def pair(self) -> Column:
        """The text that is put into `_rescued_data`, with its key; null if there is none."""
        if not isinstance(self.has, StringType):
            return F.lit(None).cast("string")
        return F.when(self.is_put_back, _pair(self.name, col(self.name)))

    @property
    def changes(self) -> Column:
        """Whether the row is another one afterwards. Never null."""
        changed = self.leaves | self.is_put_back
        return changed | self._is_rescued if is_nested(self.gets) else changed

    def counts(self) -> list[Column]:
        """The numbers of `Counts`, in its order."""
        lost = F.lit(False)
        if self.has is not None and self.is_retyped and not isinstance(self.has, StringType):
            back = self._converted["value"].try_cast(self.has)
            lost = ~back.eqNullSafe(col(self.name))
        filled = self._is_rescued & self.value.isNotNull()
        unfit = self._is_rescued & ~self.leaves
        return [F.count_if(n) for n in (self._is_rescued, filled, unfit, self.is_put_back, lost)]

    @property
    def _raw(self) -> Column:
        return json_parts.member(col(_MEMBERS), self.name)

    @property
    def _is_rescued(self) -> Column:
        return self._raw.isNotNull()

    @property
    def _read(self) -> Column:
        """A struct of the `value` of the rescued text and whether it `fits`; never null."""
        text = json_parts.decoded(self._raw)
        read = self._of(text)
        if isinstance(self.gets, StringType) and not self.of_texts:
            # It would be the text of something that was none.
            text = F.when(~self._raw.rlike(r"^[\[{]"), text)
            read = self._of(text)
        is_null = F.coalesce(self._raw == "null", F.lit(False))
        fits = read["fits"] & (text.isNotNull() | is_null)
        return _result(read["value"], fits)

    @property
    def _converted(self) -> Column:
        """A struct of the `value` that a value of the column becomes, and whether it `fits`."""
        assert self.has is not None  # the callers have checked
        own = col(self.name)
        if self.has == self.gets:
            return _result(own, F.lit(True))
        if is_nested(self.has):
            return _result(_with_fields(own, self.has, self.gets), F.lit(True))
        if isinstance(self.has, StringType):
            return self._of(own)
        text = own.cast("string")
        return _result(scalars.value(text, self.gets), F.lit(True))

    def _of(self, text: Column) -> Column:
        """A struct of the `value` of a text, and whether it `fits`; a null fits."""
        options = self.options if self.of_texts else {}
        if is_nested(self.gets):
            read = strict.reading(text, self.gets, options)
            # Here a text `null` is a text.
            fits = read["fits"] & read["value"].isNotNull()
            return _result(read["value"], text.isNull() | fits)
        if isinstance(self.gets, StringType):
            # A string that no text can hold stands there with its quotes.
            is_quoted = F.startswith(text, F.lit('"')) & F.endswith(text, F.lit('"'))
            value = F.when(~(is_quoted & json_parts.has_half_pair(text)), text)
        elif self.format == "csv":
            value = scalars.value(csv_numbers.of_type(text, self.gets, options), self.gets, options)
            return _result(value, text.isNull() | (F.trim(text) == "") | value.isNotNull())
        else:
            value = scalars.value(text, self.gets, options)
        return _result(value, text.isNull() | value.isNotNull())


def counted(rows: DataFrame, columns: Sequence[Promoted]) -> list[Counts]:
    """What a promotion does with the rows of a table, for each column."""
    found = _taken_apart(rows).select(*(n for one in columns for n in one.counts())).first()
    assert found is not None  # an aggregate without groups has one row
    each = len(Counts.__dataclass_fields__)
    return [Counts(*found[start : start + each]) for start in range(0, len(found), each)]


def changed(rows: DataFrame, columns: Sequence[Promoted]) -> DataFrame:
    """The rows that will be other ones."""
    return _taken_apart(rows).where(reduce(or_, [one.changes for one in columns]))


def promoted(rows: DataFrame, columns: Sequence[Promoted]) -> DataFrame:
    """The rows as they will be, with new columns at the end."""
    gets = {**{one.name: one.value for one in columns}, RESCUED: _rescued(columns)}
    # In the body of a lambda, Spark takes a name for an alias of the same projection, if there is
    # one, and not for the column. So the aliases are other names, until all is computed.
    computed = {name: f"promoted {name}" for name in gets}
    found = _taken_apart(rows).withColumns({computed[name]: gets[name] for name in gets})
    names = [*rows.columns, *(name for name in gets if name not in rows.columns)]
    return found.select(*(col(computed.get(name, name)).alias(name) for name in names))


def _taken_apart(rows: DataFrame) -> DataFrame:
    rescued = col(RESCUED)
    return rows.withColumns(
        {_MEMBERS: json_parts.members(rescued), _PAIRS: json_parts.pairs(rescued)}
    )


def _rescued(columns: Sequence[Promoted]) -> Column:
    """`_rescued_data` without what leaves it, letter for letter, and with what is put there."""
    leaving = _some(F.when(one.leaves, F.lit(one.name)) for one in columns)
    added = _some(one.pair for one in columns)

    def changed(leaving: Column) -> Column:
        keys, members = col(_MEMBERS)["keys"], col(_MEMBERS)
        stays = F.zip_with(
            keys, col(_PAIRS), lambda key, pair: F.when(~F.array_contains(leaving, key), pair)
        )
        left = F.coalesce(F.array_compact(stays), F.array().cast(_TEXTS))
        # The file's path says nothing alone, unless it is a value of the record itself.
        file = json_parts.decoded(json_parts.member(members, RESCUED_FILE)).eqNullSafe(
            col(INPUT_FILE)
        )
        only_file = F.coalesce(
            (F.size(left) == 0)
            | (file & (F.size(left) == 1) & ~F.array_contains(leaving, RESCUED_FILE)),
            F.lit(False),
        )

        def joined(added: Column) -> Column:
            of_file = F.when(keys.isNull(), F.array(_pair(RESCUED_FILE, col(INPUT_FILE))))
            all_of_it = F.concat(left, added, F.coalesce(of_file, F.array().cast(_TEXTS)))
            whole = F.concat(F.lit("{"), F.array_join(all_of_it, ","), F.lit("}"))
            is_same = (F.size(leaving) == 0) & (F.size(added) == 0)
            return F.when(is_same, col(RESCUED)).when(~(only_file & (F.size(added) == 0)), whole)

        return json_parts.let(added, joined)

    return json_parts.let(leaving, changed)


def _some(texts: Iterable[Column]) -> Column:
    """Those of the texts that are not null."""
    return F.array_compact(F.array(*texts).cast(_TEXTS))


def _pair(name: str, text: Column) -> Column:
    """A key and its text, as JSON without the brackets around them."""
    whole = F.to_json(F.create_map(F.lit(name), text))
    return F.substring(whole, F.lit(2), F.length(whole) - 2)


def _result(value: Column, fits: Column) -> Column:
    return F.struct(value.alias("value"), F.coalesce(fits, F.lit(False)).alias("fits"))


def _with_fields(value: Column, has: DataType, gets: DataType) -> Column:
    """A nested value with the fields that its type gets, which are null."""
    if isinstance(has, StructType) and isinstance(gets, StructType):
        fields = [
            _with_fields(value.getField(f.name), has[f.name].dataType, f.dataType).alias(f.name)
            if f.name in has.names
            else F.lit(None).cast(f.dataType).alias(f.name)
            for f in gets
        ]
        return F.when(value.isNotNull(), F.struct(*fields))
    if isinstance(gets, ArrayType):
        return inside(value, has, lambda inner, kind: _with_fields(inner, kind, gets.elementType))
    if isinstance(gets, MapType):
        return inside(value, has, lambda inner, kind: _with_fields(inner, kind, gets.valueType))
    return value


def _is_promotable(kind: DataType) -> bool:
    return is_nested(kind) or isinstance(kind, _LEAVES)


def _is_convertible(has: DataType, gets: DataType) -> bool:
    """Whether values of a type can become values of another one by their texts."""
    if isinstance(has, StructType) and isinstance(gets, StructType):
        kinds = {field.name: field.dataType for field in gets}
        return all(f.name in kinds and _is_same_below(f.dataType, kinds[f.name]) for f in has)
    if isinstance(has, ArrayType) and isinstance(gets, ArrayType):
        return _is_same_below(has.elementType, gets.elementType)
    if isinstance(has, MapType) and isinstance(gets, MapType):
        return has.keyType == gets.keyType and _is_same_below(has.valueType, gets.valueType)
    if has.simpleString() == gets.simpleString() or isinstance(has, StringType):
        return True
    ways = ((NumericType, NumericType), (DateType, TimestampNTZType))
    of_text = isinstance(has, NumericType | DateType | BooleanType) and isinstance(gets, StringType)
    return of_text or any(isinstance(has, a) and isinstance(gets, b) for a, b in ways)


def _is_same_below(has: DataType, gets: DataType) -> bool:
    """As `_is_convertible`, for a part of a value, which keeps its type."""
    if is_nested(has):
        return _is_convertible(has, gets)
    return has.simpleString() == gets.simpleString()
