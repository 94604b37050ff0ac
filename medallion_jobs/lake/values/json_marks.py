"""Marker characters in JSON texts, for differences that Spark's parser loses.

When it reads values as text, it returns a number with a point or an exponent as a double,
rounded to about sixteen digits, and a string that contains an object's JSON like the object
itself. A marked number is a string between two markers, with all its digits; a marked string
starts with a marker, so it is not an object's JSON any more. Few lines need markers, and only
they pay for them. A line that already contains markers (Unicode noncharacters) stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.lake.values.strict import NUMBER_MARK, TEXT_MARK, let, plain

if TYPE_CHECKING:
    from pyspark.sql import Column

# A whole number that does not fit in 64 bits.
HUGE_NUMBER = r"(?<![0-9.eE+-])-?[0-9]{20,}+(?![0-9.eE])"
# A double keeps fifteen digits exactly. Leading zeros do not count.
_LONG = r"[1-9](?=[0-9.]{16})[0-9]*\.|\.0*[1-9][0-9]{15}|[0-9.]{16}[eE]"
_LONG_NUMBER = (
    r"-?[0-9]++\.[0-9]{15,}+(?:[eE][+-]?[0-9]+)?"
    r"|-?(?=[0-9.]{17})[0-9]++\.[0-9]++(?:[eE][+-]?[0-9]+)?"
    r"|-?(?=[0-9.]{16})[0-9]++(?:\.[0-9]++)?[eE][+-]?[0-9]+"
)
# A string whose first character is a brace or bracket, or may be an escaped one.
_TEXT = r'[:,\[]\s*+"\s*+[\[{\\]'
_TEXT_START = r"^\s*+[\[{\\]"
_KEY_END = r"^\s*+:"
# Stand-ins for escape sequences: raw control characters, which JSON text cannot contain.
_BACKSLASHES, _QUOTE = "\x01", "\x02"


def are_needed(json: Column, *, texts: bool) -> Column:
    """Whether a JSON text needs markers.

    Args:
        texts: whether strings that look like objects or arrays need them.
    """
    # The first pattern is for speed: it is simple, and few lines match it.
    needed = json.rlike("[0-9.]{16}") & json.rlike(_LONG)
    if texts:
        needed = needed | json.rlike(_TEXT)
    return needed & ~json.rlike(f"[{NUMBER_MARK}{TEXT_MARK}]")


def are_in(json: Column) -> Column:
    """Whether a text has markers."""
    return F.contains(json, F.lit(NUMBER_MARK)) | F.contains(json, F.lit(TEXT_MARK))


def marked(json: Column, numbers: str = _LONG_NUMBER) -> Column:
    """A valid JSON text with markers.

    After escaped quotes are replaced, every second part between quotes is a string.

    Args:
        numbers: a pattern of the numbers to mark.
    """
    number = '"' + NUMBER_MARK + "$0" + NUMBER_MARK + '"'

    def mark(parts: Column, part: Column, index: Column) -> Column:
        is_text = (index % 2 == 1) & part.rlike(_TEXT_START)
        is_key = F.coalesce(F.get(parts, index + 1).rlike(_KEY_END), F.lit(False))
        return (
            F.when(index % 2 == 0, F.regexp_replace(part, numbers, number))
            .when(is_text & ~is_key, F.concat(F.lit(TEXT_MARK), part))
            .otherwise(part)
        )

    marked = let(
        _parts(json),
        lambda parts: F.transform(parts, lambda part, index: mark(parts, part, index)),
    )
    quoted = F.replace(F.array_join(marked, '"'), F.lit(_QUOTE), F.lit('\\"'))
    return F.replace(quoted, F.lit(_BACKSLASHES), F.lit("\\\\"))


def structure(json: Column) -> Column:
    """A valid JSON text without its strings: brackets, braces, numbers and punctuation."""
    return F.array_join(F.filter(_parts(json), lambda _, index: index % 2 == 0), "")


def _parts(json: Column) -> Column:
    bare = F.replace(json, F.lit("\\\\"), F.lit(_BACKSLASHES))
    return F.split(F.replace(bare, F.lit('\\"'), F.lit(_QUOTE)), '"')


def unmarked(texts: Column) -> Column:
    """A map of texts without markers."""
    return F.transform_values(texts, lambda _, text: plain(text))
