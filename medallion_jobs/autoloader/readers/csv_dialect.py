"""The dialect of csv files."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from medallion_jobs.autoloader.readers import encodings
from medallion_jobs.autoloader.readers.encodings import BYTES, Encoding
from medallion_jobs.autoloader.readers.file_schemas import BrokenHeadError
from medallion_jobs.errors import UsageError

# For Spark, which takes no character for the character 0: a noncharacter, which no file has.
_NONE = "\ufdd2"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Dialect:
    """The dialect of csv files.

    Attributes:
        quote, escape, comment: a character; empty for none.
        trims: whether white space before a field, and after it, is removed.
        skip_rows: the number of lines before the header.
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
    skip_rows: int = 0

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Dialect:
        """The dialect of a source's options.

        Raises:
            UsageError: an encoding that Spark cannot read, or cannot read line by line.
        """
        dialect = cls(
            # Spark, too, takes a backslash and a `t` for a tab.
            sep=options.get("sep", options.get("delimiter", ",")).replace("\\t", "\t"),
            quote=options.get("quote", '"'),
            escape=options.get("escape", '"'),
            comment=options.get("comment", ""),
            header=flag(options, "header", default=True),
            multi_line=flag(options, "multiLine", default=True),
            encoding=encodings.of(options),
            null=options.get("nullValue", ""),
            empty=options.get("emptyValue", ""),
            trims=(
                flag(options, "ignoreLeadingWhiteSpace", default=False),
                flag(options, "ignoreTrailingWhiteSpace", default=False),
            ),
            skip_rows=int(options.get("skip_rows", 0)),
        )
        if dialect.encoding.is_wide and not dialect.multi_line:
            raise UsageError(
                f"csv files in {options['encoding']} cannot be read line by line",
                code="csv_encoding_not_by_line",
                untouched="nothing was read",
                next_step="leave out `multiLine: false`",
            )
        return dialect

    @cached_property
    def as_bytes(self) -> bool:
        """Whether Spark reads each byte as a character, and the texts are decoded afterwards.

        Then no byte is lost. Not possible for encodings whose line ends take several bytes,
        and for a quote, escape or comment of several bytes.
        """
        try:
            sizes = [
                len(text.encode(self.encoding.codec))
                for text in (self.quote, self.escape, self.comment)
            ]
            f"{self.sep}{self.null}{self.empty}".encode(self.encoding.codec)
        except UnicodeEncodeError:
            return False
        return not self.encoding.is_wide and max(sizes) <= 1

    def as_read(self, text: str) -> str:
        """A text of the dialect, as Spark reads it in a file."""
        return text.encode(self.encoding.codec).decode(BYTES) if self.as_bytes else text

    def decoded(self, head: bytes, *, whole: bool) -> str:
        """The text of a file's head; a character that is cut off at its end is left out.

        Bytes that are not of the encoding become surrogates, which no text has.

        Raises:
            BrokenHeadError: it is not text.
        """
        if not self.encoding.is_wide and b"\0" in head:
            is_wide = head.startswith(_UTF_16)
            hint = "; it begins as UTF-16 does: see `encoding`" if is_wide else ""
            raise BrokenHeadError(f"not a csv file: it holds binary zeros{hint}")
        errors = "replace" if self.encoding.is_wide else "surrogateescape"
        decoder = codecs.getincrementaldecoder(self.encoding.python)(errors)
        return decoder.decode(head, final=whole)

    def for_spark(self, newline: str, *, header: bool) -> dict[str, str]:
        """The options of Spark's reader.

        Columns must not be pruned: otherwise Spark does not notice a row that is too short if
        its last columns are not selected. `lineSep` is set because Spark otherwise takes the
        first line end in the file, even one in quotes, and misreads files with mixed ones.

        Args:
            header: whether Spark drops the first record of each file.
        """
        return {
            "sep": self.as_read(self.sep).replace("\\", "\\\\"),
            "quote": self.as_read(self.quote) or _NONE,
            "escape": (self.quote and self.as_read(self.escape)) or _NONE,
            **({"comment": self.as_read(self.comment)} if self.comment else {}),
            "header": str(header).lower(),
            "enforceSchema": "true",
            "multiLine": str(self.multi_line).lower(),
            **({"lineSep": newline} if self.multi_line else {}),
            "encoding": BYTES if self.as_bytes else self.encoding.spark,
            "emptyValue": self.as_read(self.empty),
            "ignoreLeadingWhiteSpace": str(self.trims[0]).lower(),
            "ignoreTrailingWhiteSpace": str(self.trims[1]).lower(),
            "mode": "PERMISSIVE",
            "columnPruning": "false",
        }


def flag(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    """The value of an option that is true or false."""
    return str(options.get(name, default)).lower() == "true"
