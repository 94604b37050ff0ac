"""Reads the rows of csv files with one header, as text, and finds bad records."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from medallion_jobs.autoloader.discovery.stores import store_for
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import frames
from medallion_jobs.autoloader.readers.csv_dialect import Dialect
from medallion_jobs.autoloader.readers.csv_headers import Header
from medallion_jobs.autoloader.readers.encodings import NO_CHARACTER
from medallion_jobs.autoloader.readers.frames import at
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS
from medallion_jobs.lake.columns import INPUT_FILE
from medallion_jobs.lake.values import scalars

RAW, REASON = "__raw", "__reason"
_JOINED = "__joined"
_TAIL = 4 * 1024
_MOST_COLUMNS = 20480  # Spark's own limit; a row with more columns fails the file
_COMPRESSED = re.compile(r"\.(gz|bz2|zst|deflate)$", re.IGNORECASE)


@dataclass(frozen=True)
class Group:
    """Files with the same header."""

    spark: SparkSession
    header: Header
    files: Sequence[FileEntry]
    dialect: Dialect

    def inferred(self, options: Mapping[str, str]) -> StructType:
        """The columns with the types that Spark infers from the files."""
        formats = {
            k: options[k] for k in (scalars.DATE_FORMAT, scalars.TIMESTAMP_FORMAT) if k in options
        }
        found = self._read({"inferSchema": "true", **formats}).schema
        named = zip(self.header.names, found, strict=False)
        return StructType([StructField(name, field.dataType) for name, field in named])

    def rows(self) -> DataFrame:
        """Fields as text, raw text and reason of bad records, and columns about the file."""
        count = len(self.header.names)
        fields = [StructField(at(n), StringType()) for n in range(count)]
        most = str(max(_MOST_COLUMNS, 2 * count))
        frame = self._read(
            {"columnNameOfCorruptRecord": RAW, "maxColumns": most},
            StructType([*fields, StructField(RAW, StringType())]),
        )
        rows = frame.select("*", *frames.file_columns(frame)).where(~self._is_blank())
        texts = [F.col(at(n)) for n in range(count)]
        if self.dialect.multi_line and self.header.newline == "\n":
            texts[-1] = self._without_return(texts[-1])
        rows = rows.select(
            *(self._corrected(text).alias(at(n)) for n, text in enumerate(texts)),
            self._corrected(F.col(RAW)).alias(RAW),
            *FILE_COLUMNS,
        )
        joined = (F.coalesce(F.col(at(n)), F.lit("")) for n in range(count))
        rows = rows.withColumn(_JOINED, F.concat_ws(self.dialect.sep, *joined))
        reason = F.coalesce(self._miscounted(), self._misread(count))
        text = F.coalesce(F.rtrim(F.col(RAW), F.lit("\r")), F.col(_JOINED))
        raw = F.when(reason.isNotNull(), text)
        return rows.select(
            *(at(n) for n in range(count)),
            raw.alias(RAW),
            reason.alias(REASON),
            *FILE_COLUMNS,
        )

    def _read(self, more: Mapping[str, str], schema: StructType | None = None) -> DataFrame:
        options = {**self.dialect.for_spark(self.header.newline), **more}
        reader = frames.reader(self.spark).options(**options)
        return reader.csv(frames.paths(self.files), schema)

    def _corrected(self, text: Column) -> Column:
        return self.dialect.encoding.corrected(text, strictly=True)

    def _is_blank(self) -> Column:
        """Whether a row is a line with only a carriage return or spaces."""
        text = F.col(RAW) if len(self.header.names) > 1 else F.col(at(0))
        blanks = " \r" if len(self.header.names) > 1 else "\r"
        is_blank = F.trim(text, F.lit(blanks)) == ""
        if len(self.header.names) == 1:
            is_blank = is_blank & (F.length(text) > 0)
        return F.coalesce(is_blank, F.lit(False))

    def _without_return(self, text: Column) -> Column:
        """The last field of a row without the carriage return of its line end."""
        bare = F.left(text, F.length(text) - 1)
        nulls = ("", self.dialect.null)
        return F.when(~F.endswith(text, F.lit("\r")), text).when(~bare.isin(*nulls), bare)

    def _miscounted(self) -> Column:
        """The reason for a record that Spark calls malformed: it is always its fields."""
        raw, quote, escape = (
            F.rtrim(F.col(RAW), F.lit("\r")),
            self.dialect.quote,
            self.dialect.escape,
        )
        if quote:
            if escape and escape != quote:
                raw = F.regexp_replace(raw, F.lit(f"(?s){re.escape(escape)}."), F.lit(""))
            mark = re.escape(quote)
            raw = F.regexp_replace(raw, F.lit(f"{mark}[^{mark}]*+{mark}"), F.lit(""))
        count = F.size(F.split(raw, re.escape(self.dialect.sep), -1))
        expected = "the header has" if self.dialect.header else "the schema has"
        wanted = len(self.header.names)
        reason = (
            F.when(F.contains(raw, F.lit(quote)), F.lit("a quote is opened and never closed"))
            if quote
            else F.when(F.lit(False), F.lit(""))
        )
        reason = reason.when(
            count != wanted,
            F.concat(
                count.cast("string"),
                F.when(count == 1, " field, ").otherwise(" fields, "),
                F.lit(f"{expected} {wanted}"),
            ),
        ).otherwise(F.lit(f"not as many fields as {expected}: {wanted}"))
        return F.when(F.col(RAW).isNotNull(), reason)

    def _misread(self, count: int) -> Column:
        """The reason why a record that Spark accepts is bad; null if it is good."""
        undecoded = F.contains(F.col(_JOINED), F.lit(NO_CHARACTER))
        reason = F.when(
            undecoded,
            F.lit(f"bytes that are no {self.dialect.encoding.name.upper()}; see `encoding`"),
        )
        if not (self.dialect.multi_line and self.dialect.quote):
            return reason
        unclosed = F.lit("a quote is opened and not closed before the next lines")
        mark = re.escape(self.dialect.quote)
        # Spark then returns the field with its opening quote, up to the next quote.
        over_lines = f"^{mark}[^{mark}\n]*+\n[^{mark}]*+{mark}"
        texts = F.array(*(F.col(at(n)) for n in range(count)))
        reopened = F.when(
            F.contains(F.col(_JOINED), F.lit("\n")),
            F.exists(texts, lambda text: F.coalesce(text.rlike(over_lines), F.lit(False))),
        )
        reason = reason.when(reopened, unclosed)
        tails = self._tails()
        if not tails:
            return reason
        # A quote that is never closed makes one field of everything after it. The file then
        # ends with the quote and this field or, if it is longer, the field ends with the tail.
        text = F.col(at(count - 1))
        tail = F.try_element_at(
            F.from_json(F.lit(json.dumps(tails)), "map<string,string>"), F.col(INPUT_FILE)
        )
        swallows = F.endswith(tail, F.concat(F.lit(self.dialect.quote), text)) | F.endswith(
            text, tail
        )
        return reason.when(
            F.when(F.contains(text, F.lit(self.header.newline)) & (F.trim(text) != ""), swallows),
            unclosed,
        )

    def _tails(self) -> dict[str, str]:
        """The tail of each file that is not compressed, without escapes, by URI."""
        if self.dialect.encoding.is_wide:
            return {}
        tails = {}
        for file in self.files:
            if not _COMPRESSED.search(file.path):
                store = store_for(file.path, lambda: self.spark)
                start = max(0, file.size - _TAIL)
                tail = self.dialect.tail(store.read(file.path, start, file.size - start))
                tails[file.path] = self.dialect.unquoted(tail)
        return tails
