"""Marks in JSON texts, for what Spark's parser does not tell when it makes texts of values.

It hands on a number with a point or an exponent as the text of a double, rounded to some
sixteen digits; and a text that holds an object's JSON just as the object. A marked number
stands as a text between two marks, with all its digits; a marked text begins with a mark,
and so is no object's JSON any more. Only few lines need marks, and only they pay for them.
A line that holds the marks of itself (noncharacters of Unicode) is taken as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.lake.values.strict import NUMBER_MARK, TEXT_MARK, let, plain

if TYPE_CHECKING:
    from pyspark.sql import Column

# A whole number that no 64 bits hold.
HUGE_NUMBER = r"(?<![0-9.eE+-])-?[0-9]{20,}+(?![0-9.eE])"
# Fifteen digits always come through a double unharmed. Leading zeros are none.
_LONG = r"[1-9](?=[0-9.]{16})[0-9]*\.|\.0*[1-9][0-9]{15}|[0-9.]{16}[eE]"
_LONG_NUMBER = (
    r"-?[0-9]++\.[0-9]{15,}+(?:[eE][+-]?[0-9]+)?"
    r"|-?(?=[0-9.]{17})[0-9]++\.[0-9]++(?:[eE][+-]?[0-9]+)?"
    r"|-?(?=[0-9.]{16})[0-9]++(?:\.[0-9]++)?[eE][+-]?[0-9]+"
)
# A text whose first character is a brace or bracket, or may be one that is written as an
# escape.
_TEXT = r'[:,\[]\s*+"\s*+[\[{\\]'
_TEXT_START = r"^\s*+[\[{\\]"
_KEY_END = r"^\s*+:"
# In place of what is escaped: raw control characters, which no JSON text can hold.
_BACKSLASHES, _QUOTE = "\x01", "\x02"


def are_needed(json: Column, *, texts: bool) -> Column:
    """Whether a JSON text has what needs marks.

    Args:
        texts: whether texts that look like objects or arrays do.
    """
    # The first pattern is for speed: it begins in one way, and few lines match it.
    needed = json.rlike("[0-9.]{16}") & json.rlike(_LONG)
    if texts:
        needed = needed | json.rlike(_TEXT)
    return needed & ~json.rlike(f"[{NUMBER_MARK}{TEXT_MARK}]")


def are_in(json: Column) -> Column:
    """Whether a text has marks."""
    return F.contains(json, F.lit(NUMBER_MARK)) | F.contains(json, F.lit(TEXT_MARK))


def marked(json: Column, numbers: str = _LONG_NUMBER) -> Column:
    """A valid JSON text with its marks.

    Once no quote in it is escaped, every other part between two quotes is a text.

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
    """A valid JSON text without its texts: brackets, braces, numbers and what is between."""
    return F.array_join(F.filter(_parts(json), lambda _, index: index % 2 == 0), "")


def _parts(json: Column) -> Column:
    bare = F.replace(json, F.lit("\\\\"), F.lit(_BACKSLASHES))
    return F.split(F.replace(bare, F.lit('\\"'), F.lit(_QUOTE)), '"')


def unmarked(texts: Column) -> Column:
    """A map of texts without marks."""
    return F.transform_values(texts, lambda _, text: plain(text))
