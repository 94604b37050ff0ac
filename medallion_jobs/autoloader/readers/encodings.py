"""The encodings that files of text, of JSON and of csv may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import Column

ENCODING = "encoding"  # the option of a source
# The character that decoders return for invalid bytes.
NO_CHARACTER = "\ufffd"
# The encoding that makes one character of each byte.
BYTES = "ISO-8859-1"
_WINDOWS = "cp1252"
# Where windows-1252 differs from ISO-8859-1; it has no character for five of these bytes.
_LATIN = "".join(map(chr, range(0x80, 0xA0)))
_ON_WINDOWS = _LATIN.encode("latin-1").decode(_WINDOWS, "replace")


@dataclass(frozen=True)
class Encoding:
    """An encoding of files.

    Attributes:
        name: as users write it, in lower case.
        spark: its name in Spark's readers.
        python: its name in Python, where `utf-8-sig` leaves out a byte-order mark.
    """

    name: str
    spark: str
    python: str

    @property
    def is_utf_8(self) -> bool:
        return self.spark == "UTF-8"

    @property
    def codec(self) -> str:
        """Its name in Python, to encode without a byte-order mark."""
        return "utf-8" if self.is_utf_8 else self.python

    @property
    def is_wide(self) -> bool:
        """Whether a line end takes more than one byte."""
        return self.name.startswith(("utf-16", "utf-32"))

    def is_undecoded(self, text: str) -> bool:
        """Whether a text that Python decoded has bytes that are not of the encoding.

        Each is a surrogate (`surrogateescape`), or `NO_CHARACTER` in a wide encoding.
        """
        return (self.is_wide and NO_CHARACTER in text) or any(map(_is_surrogate, text))

    def corrected(self, text: Column, *, strictly: bool) -> Column:
        """A text from Spark's reader, with the characters that Spark reads wrongly put right.

        Args:
            strictly: whether bytes without a character become `NO_CHARACTER`.
        """
        if self.python != _WINDOWS:
            return text
        pairs = zip(_LATIN, _ON_WINDOWS, strict=True)
        wrong = [(read, right) for read, right in pairs if strictly or right != NO_CHARACTER]
        return F.translate(text, *map("".join, zip(*wrong, strict=True)))

    def decoded(self, text: Column) -> Column:
        """A text that was read as `BYTES`, so that each character is a byte, decoded."""
        if self.is_utf_8:
            return F.encode(text, BYTES).cast("string")
        return self.corrected(text, strictly=False)

    def has_others(self, text: Column) -> Column:
        """Whether a text that was read as `BYTES` has bytes that are not of the encoding."""
        if self.is_utf_8:
            return ~F.is_valid_utf8(self.decoded(text))
        if self.python == _WINDOWS:
            pairs = zip(_LATIN, _ON_WINDOWS, strict=True)
            return text.rlike(
                f"[{''.join(read for read, right in pairs if right == NO_CHARACTER)}]"
            )
        return ~is_ascii(text) if self.python == "ascii" else F.lit(False)


_UTF_8, _LATIN_1 = ("UTF-8", "utf-8-sig"), ("ISO-8859-1", "iso-8859-1")
# Spark does not know windows-1252: it reads ISO-8859-1, to be corrected.
_CP_1252 = ("ISO-8859-1", _WINDOWS)
_KNOWN = {
    "utf-8": _UTF_8,
    "utf8": _UTF_8,
    "us-ascii": ("US-ASCII", "ascii"),
    "iso-8859-1": _LATIN_1,
    "latin1": _LATIN_1,
    "windows-1252": _CP_1252,
    "cp1252": _CP_1252,
    "utf-16": ("UTF-16", "utf-16"),
    "utf-16le": ("UTF-16LE", "utf-16-le"),
    "utf-16be": ("UTF-16BE", "utf-16-be"),
    "utf-32": ("UTF-32", "utf-32"),
}


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def is_ascii(text: Column) -> Column:
    """Whether a text has only characters of ASCII."""
    return F.octet_length(text) == F.char_length(text)


def of(options: Mapping[str, str]) -> Encoding:
    """The encoding that a source's options name; UTF-8 by default.

    Raises:
        UsageError: one that Spark cannot read.
    """
    wanted = options.get(ENCODING, "UTF-8")
    name = wanted.lower()
    if name not in _KNOWN:
        raise UsageError(
            f"files cannot be read in the encoding {wanted}",
            code="encoding_not_supported",
            untouched="nothing was read",
            next_step=f"set options.encoding of the source to one of {', '.join(_KNOWN)}",
        )
    return Encoding(name, *_KNOWN[name])
