"""Takes JSON texts apart: the keys of an object, and the text of each value, letter for letter.

Spark's `from_json` writes a value again when it returns it as text: `5.00` becomes `5.0`, `1e400`
becomes `Infinity`, and an object loses its spaces. Here Spark's parser only decides whether a text
is JSON. The parts are then cut out of the text by patterns, which is certain once the text is known
to be JSON: brackets are balanced and all quotes inside strings have a backslash.

A `Column` of the text of a value is called raw if it is as in the file: a string has its quotes and
its escapes. `decoded` gives the string itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

if TYPE_CHECKING:
    from pyspark.sql import Column

# Levels of objects and arrays inside a value. The patterns below are nested as deeply, and each
# level of a text takes some of the stack of Java's matcher.
MOST_LEVELS = 250
# Digits of a number and characters of a key, by Spark's parser.
MOST_DIGITS, LONGEST_KEY = 1_000, 50_000
# Options of Spark's JSON parser, which otherwise takes `NaN` and texts in single quotes, and
# refuses long texts and deep values.
STRICT_JSON = {
    "allowNonNumericNumbers": "false",
    "allowSingleQuotes": "false",
    "maxStringLen": str(2**31 - 1),
    "maxNestingDepth": "1000000",
}
# A key that stands after a text, to show that the parser has read the text to its end. Different
# in each process: no text has it.
_END = f"end {uuid4().hex}"

STRING = r'"(?:[^"\\]++|\\.)*+"'
_SPACE = r"[ \t\r\n]*+"


def nested(levels: int = MOST_LEVELS) -> str:
    """A pattern of an object or an array with up to so many levels, in valid JSON.

    Each group repeats possessively, which Java matches in a loop, however long the text is.
    """
    pattern = rf'[\[{{](?:[^"\[\]{{}}]++|{STRING})*+[\]}}]'
    for _ in range(levels - 1):
        pattern = rf'[\[{{](?:[^"\[\]{{}}]++|{STRING}|{pattern})*+[\]}}]'
    return pattern


NESTED = nested()
_VALUE = rf'(?:{STRING}|{NESTED}|[^",\[\]{{}} \t\r\n]++)'
_MEMBER = rf"\G{_SPACE}[,{{]{_SPACE}{STRING}{_SPACE}:{_SPACE}({_VALUE})"
_PAIR = rf"\G{_SPACE}[,{{]{_SPACE}({STRING}{_SPACE}:{_SPACE}{_VALUE})"
_ELEMENT = rf"\G{_SPACE}[,\[]{_SPACE}({_VALUE})"
# A string without half of a surrogate pair, which no text can hold.
_WHOLE_PAIRS = (
    r'(?i)"(?:[^"\\]++|\\[^u]|\\u(?!d[89a-f])[0-9a-f]{4}'
    r'|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})*+"'
)


def let(bound: Column, body: Callable[[Column], Column]) -> Column:
    """Applies `body` to a column that is computed once, even if `body` uses it several times.

    Otherwise each use would double what Spark compiles and computes, at each level of a nested
    type.
    """
    return F.get(F.transform(F.array(bound), body), F.lit(0))


def is_valid(json: Column) -> Column:
    """Whether a text is one JSON object or array, of any depth, or several values. Never null.

    With `is_one`, it is exactly one.
    """
    framed = F.concat(F.lit('{"":'), json, F.lit(f',"{_END}":""}}'))
    parsed = F.from_json(framed, StructType([StructField(_END, StringType())]), STRICT_JSON)
    return F.coalesce(parsed[_END] == "", F.lit(False))


def is_one(json: Column) -> Column:
    """Whether a text is one JSON object or array that can be taken apart. Never null.

    It has up to `MOST_LEVELS` levels, and no key with half of a surrogate pair.
    """
    is_balanced = json.rlike(rf"\A{_SPACE}{NESTED}{_SPACE}\z")
    return F.coalesce(is_balanced & is_valid(json) & ~has_half_key(json), F.lit(False))


def has_half_key(json: Column) -> Column:
    """Whether a key of valid JSON has half of a surrogate pair, such as `\\ud83d` alone."""
    strings = F.regexp_extract_all(json, F.lit(rf"{STRING}{_SPACE}:?"), F.lit(0))
    half = F.exists(
        strings,
        lambda string: (
            F.endswith(string, F.lit(":")) & ~string.rlike(rf"\A{_WHOLE_PAIRS}{_SPACE}:\z")
        ),
    )
    return _may_have_half(json) & half


def members(json: Column) -> Column:
    """A struct of an object's `keys` and of the raw `texts` of its values, in their order.

    Null if the text is another JSON value.
    """
    parts = F.struct(
        F.json_object_keys(json).alias("keys"),
        F.regexp_extract_all(json, F.lit(_MEMBER), F.lit(1)).alias("texts"),
    )
    return F.when(F.startswith(F.ltrim(json), F.lit("{")), parts)


def pairs(json: Column) -> Column:
    """The texts of an object's members, each with its key, in the order of `members`."""
    return F.regexp_extract_all(json, F.lit(_PAIR), F.lit(1))


def elements(json: Column) -> Column:
    """The raw texts of an array's elements; null if the text is another valid JSON value."""
    texts = F.regexp_extract_all(json, F.lit(_ELEMENT), F.lit(1))
    return F.when(F.startswith(F.ltrim(json), F.lit("[")), texts)


def member(members: Column, key: str) -> Column:
    """The raw text of a key's value, the first one if the key is repeated; null without one."""
    place = F.array_position(members["keys"], F.lit(key)).cast("int")
    return F.get(members["texts"], place - 1)


def is_null(members: Column, key: Column) -> Column:
    """Whether the value of a key, which the object has, is null."""
    return F.get(members["texts"], F.array_position(members["keys"], key).cast("int") - 1) == "null"


def has_distinct_keys(members: Column) -> Column:
    """Whether no key is repeated."""
    return F.size(members["keys"]) == F.size(F.array_distinct(members["keys"]))


def decoded(raw: Column) -> Column:
    """The text of a value: a string without quotes and escapes, any other value as it is.

    Null for the JSON value null, and for a string with half of a surrogate pair.
    """
    inner = F.substring(raw, F.lit(2), F.length(raw) - 2)
    array = F.from_json(F.concat(F.lit("["), raw, F.lit("]")), "array<string>", STRICT_JSON)
    unescaped = F.when(~has_half_pair(raw), F.get(array, F.lit(0)))
    string = F.when(F.contains(raw, F.lit("\\")), unescaped).otherwise(inner)
    return F.when(F.startswith(raw, F.lit('"')), string).when(raw != "null", raw)


def has_half_pair(raw: Column) -> Column:
    """Whether a string has half of a surrogate pair."""
    return _may_have_half(raw) & ~raw.rlike(rf"\A{_WHOLE_PAIRS}\z")


def _may_have_half(json: Column) -> Column:
    return F.contains(F.lower(json), F.lit("\\ud"))


def is_given(raw: Column) -> Column:
    """Whether a value shows its type: it is more than null, and empty or null inside."""
    return ~raw.rlike(rf"\A(?:[\[\]{{}}, \t\r\n]++|null|{STRING}{_SPACE}:)*+\z")
