"""The dialect of csv files, and a parser for their first records, for the driver."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass

from medallion_jobs.autoloader.readers import encodings
from medallion_jobs.autoloader.readers.encodings import NO_CHARACTER, Encoding
from medallion_jobs.autoloader.readers.file_schemas import BrokenHeadError
from medallion_jobs.errors import UsageError


@dataclass(frozen=True)
class Dialect:
    """The dialect of csv files.

    Attributes:
        quote, escape, comment: a character; empty for none.
        trims: whether white space before a field, and after it, is removed.
    """

    sep: str
    quote: str
    escape: str
    comment: str
    header: bool
    multi_line: bool
    encoding: Encoding
    null: str
    empty: str
    trims: tuple[bool, bool]

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Dialect:
        """The dialect of a source's options.

        Raises:
            UsageError: an encoding that Spark cannot read, or cannot read line by line.
        """
        dialect = cls(
            sep=options.get("sep", options.get("delimiter", ",")),
            quote=options.get("quote", '"'),
            escape=options.get("escape", '"'),
            comment=options.get("comment", ""),
            header=_flag(options, "header", default=True),
            multi_line=_flag(options, "multiLine", default=True),
            encoding=encodings.of(options),
            null=options.get("nullValue", ""),
            empty=options.get("emptyValue", ""),
            trims=(
                _flag(options, "ignoreLeadingWhiteSpace", default=False),
                _flag(options, "ignoreTrailingWhiteSpace", default=False),
            ),
        )
        if dialect.encoding.is_wide and not dialect.multi_line:
            raise UsageError(
                f"csv files in {options['encoding']} cannot be read line by line",
                code="csv_encoding_not_by_line",
                untouched="nothing was read",
                next_step="leave out `multiLine: false`",
            )
        return dialect

    def decoded(self, head: bytes, *, whole: bool) -> str:
        """The text of a file's head; a character that is cut off at its end is left out.

        Raises:
            BrokenHeadError: it is not text.
        """
        if not self.encoding.is_wide and b"\0" in head:
            raise BrokenHeadError("not a csv file: it holds binary zeros")
        decoder = codecs.getincrementaldecoder(self.encoding.python)("replace")
        return decoder.decode(head, final=whole)

    def tail(self, end: bytes) -> str:
        """The text of a file's end; a character that is cut off at its start is left out."""
        return end.decode(self.encoding.python, "replace").lstrip(NO_CHARACTER)

    def unquoted(self, text: str) -> str:
        """The text of a quoted field, without its escapes."""
        return text.replace(self.escape + self.quote, self.quote) if self.quote else text

    def for_spark(self, newline: str) -> dict[str, str]:
        """The options of Spark's reader.

        Columns must not be pruned: otherwise Spark does not notice a row that is too short if
        its last columns are not selected. `lineSep` is set because Spark otherwise takes the
        first line end in the file, even one in quotes, and misreads files with mixed ones.
        """
        return {
            "sep": self.sep,
            "quote": self.quote,
            "escape": self.escape,
            **({"comment": self.comment} if self.comment else {}),
            "header": str(self.header).lower(),
            "enforceSchema": "true",
            "multiLine": str(self.multi_line).lower(),
            **({"lineSep": newline} if self.multi_line else {}),
            "encoding": self.encoding.spark,
            "nullValue": self.null,
            "emptyValue": self.empty,
            "ignoreLeadingWhiteSpace": str(self.trims[0]).lower(),
            "ignoreTrailingWhiteSpace": str(self.trims[1]).lower(),
            "mode": "PERMISSIVE",
            "columnPruning": "false",
        }

    def first_record(self, text: str, newline: str, *, whole: bool) -> list[str] | None:
        """The fields of the first record; None if the text ends before the record does.

        If the whole text has no record, there are no fields.

        Raises:
            BrokenHeadError: a quote is opened and never closed.
        """
        start = self._start(text, newline)
        if start is None:
            return [] if whole else None
        fields: list[str] = []
        while True:
            field, end = self._field(text, start, newline)
            if end is None:
                if whole:
                    raise BrokenHeadError("its header opens a quote and never closes it")
                return None
            if end == len(text) and not whole:
                return None
            if not text.startswith(self.sep, end):
                return [*fields, field.removesuffix("\r")]
            fields.append(field)
            start = end + len(self.sep)

    def _start(self, text: str, newline: str) -> int | None:
        """The position of the first record, after blank lines and comments; None if none."""
        start = 0
        while start < len(text):
            end = text.find(newline, start)
            line = text[start : end if end >= 0 else None]
            if line.strip(" \r") and not (self.comment and line.startswith(self.comment)):
                return start
            if end < 0:
                return None
            start = end + len(newline)
        return None

    def _field(self, text: str, start: int, newline: str) -> tuple[str, int | None]:
        """The field at `start`, and the position of its end; None if the text ends before."""
        if self.trims[0]:
            start += len(text[start:]) - len(text[start:].lstrip(" \t"))
        if self.quote and text.startswith(self.quote, start):
            quote, escape = re.escape(self.quote), re.escape(self.escape or self.quote)
            inside = re.compile(f"(?:{escape}{quote}|(?!{quote}).)*", re.DOTALL)
            quoted = inside.match(text, start + 1)
            end = quoted.end() if quoted else len(text)
            if end >= len(text):
                return "", None
            after = self._end(text, end + 1, newline)
            return self.unquoted(text[start + 1 : end]), after
        end = self._end(text, start, newline)
        field = text[start:end]
        return (field.rstrip(" \t") if self.trims[1] else field), end

    def _end(self, text: str, start: int, newline: str) -> int:
        ends = (text.find(self.sep, start), text.find(newline, start))
        return min((end for end in ends if end >= 0), default=len(text))


def _flag(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    return str(options.get(name, default)).lower() == "true"
