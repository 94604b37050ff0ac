"""Reads the rows of csv files with one header, as text, and finds bad records.

Spark shows the raw text of a malformed record only. So each record is read with two columns more
than its header has: then it is malformed, and its fields are read all the same. Spark makes no
stack trace for it, so the cost is small. A record that does have two fields more has its raw text
because the second one is no date; only if that one is empty, the raw text is not known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, StringType, StructField, StructType

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import csv_quotes, frames
from medallion_jobs.autoloader.readers.csv_dialect import Dialect
from medallion_jobs.autoloader.readers.csv_headers import Header
from medallion_jobs.autoloader.readers.encodings import BYTES, NO_CHARACTER, is_ascii
from medallion_jobs.autoloader.readers.frames import at
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS
from medallion_jobs.lake.columns import INPUT_FILE

RAW, RAW_BYTES, REASON = "__raw", "__raw_bytes", "__reason"
_PLACE, _WHOLE, _REGULAR = "__place", "__whole", "__regular"
_MOST_COLUMNS = 20480  # Spark's own limit; a row with more columns fails the file
# A noncharacter, which texts should not have and bytes cannot be, as the null of Spark's reader and
# the format of its dates. So no field is a date.
_NO_TEXT = "\ufdd0"
_MARK = "\xef\xbb\xbf"  # the byte-order mark of UTF-8, as bytes


@dataclass(frozen=True)
class Group:
    """Files with the same header."""

    spark: SparkSession
    header: Header
    files: Sequence[FileEntry]

    @property
    def _dialect(self) -> Dialect:
        return self.header.dialect

    def rows(self) -> DataFrame:
        """Fields as text, raw text, bytes and reason of bad records, columns about the file."""
        count, dialect = len(self.header.names), self._dialect
        rows = self._below_header(self._read()).where(~self._is_blank())
        texts = [F.col(at(n)) for n in range(count)]
        if self.header.marked:
            texts[0] = _without_mark(texts[0])
        if dialect.multi_line and self.header.newline == "\n":
            texts[-1] = self._without_return(texts[-1])
        rows = rows.select(
            *(text.alias(at(n)) for n, text in enumerate(texts)),
            at(count),
            at(count + 1),
            F.coalesce(RAW, self._joined()).alias(_WHOLE),
            RAW,
            *FILE_COLUMNS,
        )
        rows = rows.withColumn(_REGULAR, self._is_regular())
        reason = F.coalesce(
            F.when(~F.col(_REGULAR), self._miscounted()),
            self._undecoded(),
            F.when(~F.col(_REGULAR), self._misquoted()),
        )
        rows = rows.withColumn(REASON, reason)
        is_bad = F.col(REASON).isNotNull()
        null = F.lit(dialect.as_read(dialect.null))
        return rows.select(
            *(self._decoded(F.nullif(F.col(at(n)), null)).alias(at(n)) for n in range(count)),
            F.when(is_bad, self._decoded(F.col(_WHOLE))).alias(RAW),
            F.when(is_bad, self._raw_bytes()).alias(RAW_BYTES),
            REASON,
            *FILE_COLUMNS,
        )

    def _read(self) -> DataFrame:
        count = len(self.header.names)
        schema = StructType(
            [
                *(StructField(at(n), StringType()) for n in range(count + 1)),
                StructField(at(count + 1), DateType()),
                StructField(RAW, StringType()),
            ]
        )
        options = {
            **self._dialect.for_spark(
                self.header.newline,
                header=self._dialect.header and self.header.before is None,
            ),
            # Null are only those fields that are empty, without quotes, or not there.
            "nullValue": _NO_TEXT,
            "dateFormat": f"'{_NO_TEXT}'",
            "columnNameOfCorruptRecord": RAW,
            "maxColumns": str(max(_MOST_COLUMNS, 2 * count)),
        }
        frame = frames.reader(self.spark).options(**options).csv(frames.paths(self.files), schema)
        return frame.select("*", *frames.file_columns(frame))

    def _below_header(self, rows: DataFrame) -> DataFrame:
        """The rows without those records before them that Spark does not leave out itself."""
        if self.header.before is None:
            return rows
        in_order = Window.partitionBy(INPUT_FILE).orderBy("__id")
        return (
            rows.withColumn("__id", F.monotonically_increasing_id())
            .withColumn(_PLACE, F.row_number().over(in_order))
            .where(F.col(_PLACE) > self.header.before)
        )

    @property
    def _sep(self) -> str:
        return self._dialect.as_read(self._dialect.sep)

    def _decoded(self, text: Column) -> Column:
        encoding = self._dialect.encoding
        if not self._dialect.as_bytes:
            return encoding.corrected(text, strictly=True)
        # Most records are ASCII; one look at the whole record is quicker than one at each field.
        return F.when(is_ascii(F.col(_WHOLE)), text).otherwise(encoding.decoded(text))

    def _is_blank(self) -> Column:
        """Whether a row is a line with only a carriage return or spaces."""
        several = len(self.header.names) > 1
        blanks = F.lit("\r " if several and " " not in self._dialect.sep else "\r")
        # The first condition is quick, and Spark refuses to read the raw text alone.
        is_short = F.col(at(1)).isNull() if several else F.startswith(F.col(at(0)), F.lit("\r"))
        return F.coalesce(is_short & (F.trim(F.col(RAW), blanks) == ""), F.lit(False))

    def _joined(self) -> Column:
        """The text of a record whose raw text Spark does not show: its last field is empty."""
        texts = (F.coalesce(F.col(at(n)), F.lit("")) for n in range(len(self.header.names) + 1))
        return F.concat_ws(self._sep, *texts, F.lit(""))

    def _without_return(self, text: Column) -> Column:
        """The last field of a row without the carriage return of its line end."""
        bare = F.left(text, F.length(text) - 1)
        # In the raw text, which has no line end, a field without quotes is the end.
        is_alone = len(self.header.names) == 1
        with_sep = F.concat(F.lit(self._sep), bare)
        is_bare = F.col(RAW) == bare if is_alone else F.endswith(F.col(RAW), with_sep)
        is_end = F.endswith(text, F.lit("\r")) & is_bare
        return F.when(~F.coalesce(is_end, F.lit(False)), text).when(bare != "", bare)

    def _is_regular(self) -> Column:
        """Whether a record certainly has as many fields as the header, and its quotes in pairs."""
        wanted, whole, dialect = len(self.header.names), F.col(_WHOLE), self._dialect
        pattern = csv_quotes.regular(dialect, wanted)
        if pattern is None:
            return F.lit(False)
        sep, last = F.lit(self._sep), F.col(at(wanted - 1))
        without = F.octet_length(whole) - F.octet_length(F.replace(whole, sep, F.lit("")))
        is_plain = last.isNotNull() & (without == F.octet_length(sep) * (wanted - 1))
        has_more = F.col(at(wanted)).isNotNull() | F.col(at(wanted + 1)).isNotNull()
        has_quotes = F.contains(whole, F.lit(dialect.as_read(dialect.quote)))
        in_form = F.when(has_quotes, whole.rlike(pattern)).otherwise(is_plain)
        return F.coalesce(in_form & ~has_more, F.lit(False))

    def _miscounted(self) -> Column:
        """The reason for a record that has not as many fields as the header."""
        wanted, whole = len(self.header.names), F.col(_WHOLE)
        left = csv_quotes.without_quoted(whole, self._dialect)
        count = F.size(F.split(left, re.escape(self._sep), -1))
        end = whole
        if any(self._dialect.trims):
            blanks = "".join(one for one in " \t" if one not in self._sep)
            end = F.rtrim(whole, F.lit(blanks))
        ends_empty = F.endswith(end, F.lit(self._sep))
        last, more = F.col(at(wanted - 1)), F.col(at(wanted))
        sep = F.lit(self._sep)
        without = F.octet_length(whole) - F.octet_length(F.replace(whole, sep, F.lit("")))
        has_seps = without == F.octet_length(sep) * (wanted - 1)
        # An empty field at the end is null, as is a field that is not there, and a later one that
        # is no date.
        is_right = F.when(last.isNotNull() & has_seps, F.lit(True)).otherwise(
            (last.isNotNull() | ends_empty)
            & (count == wanted)
            & csv_quotes.is_regular(whole, self._dialect)
        )
        is_right = is_right & more.isNull() & F.col(at(wanted + 1)).isNull()
        expected = "the header has" if self._dialect.header else "the schema has"
        reason = F.when(
            count != wanted,
            F.concat(
                count.cast("string"),
                F.when(count == 1, " field, ").otherwise(" fields, "),
                F.lit(f"{expected} {wanted}"),
            ),
        ).otherwise(F.lit("its fields cannot be counted: quotes are not around whole fields"))
        if self._dialect.quote:
            quote = F.lit(self._dialect.as_read(self._dialect.quote))
            unclosed = F.lit(csv_quotes.unclosed(self._dialect))
            reason = F.when(F.contains(left, quote), unclosed).otherwise(reason)
        return F.when(~is_right, reason)

    def _raw_bytes(self) -> Column:
        """The bytes of a record, or its text in UTF-8; null if Spark does not show all of it."""
        if self._dialect.as_bytes:
            return F.encode(F.col(RAW), BYTES)
        text = self._dialect.encoding.corrected(F.col(RAW), strictly=True)
        return F.when(~F.contains(text, F.lit(NO_CHARACTER)), text.cast("binary"))

    def _undecoded(self) -> Column:
        """The reason for a record with bytes that are not of the encoding."""
        dialect = self._dialect
        raw, name = F.col(_WHOLE), dialect.encoding.name.upper()
        others = (
            ~is_ascii(raw) & dialect.encoding.has_others(raw)
            if dialect.as_bytes
            else F.contains(dialect.encoding.corrected(raw, strictly=True), F.lit(NO_CHARACTER))
        )
        return F.when(others, F.lit(f"bytes that are no {name}; see `encoding`"))

    def _misquoted(self) -> Column:
        """The reason for a record with a quote that is not closed, or not opened."""
        texts = [F.col(at(n)) for n in range(len(self.header.names))]
        return csv_quotes.fault(F.col(_WHOLE), texts, self._dialect, self.header.newline)


def _without_mark(text: Column) -> Column:
    is_marked = F.startswith(text, F.lit(_MARK))
    bare = F.substring(text, len(_MARK) + 1, 2**31 - 1)
    return F.when(~F.coalesce(is_marked, F.lit(False)), text).when(bare != "", bare)
