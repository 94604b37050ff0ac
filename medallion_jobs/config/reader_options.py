"""The reader options of each format, under `bronze.NAME.source.options`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from medallion_jobs.config.problems import nearest

_ENCODING = "encoding of the files; UTF-8 by default"
_TIME_FORMATS = {
    "timestampFormat": "format of timestamps, as a Spark datetime pattern",
    "dateFormat": "format of dates, as a Spark datetime pattern",
}
_NANOSECONDS = (
    "a timestamp with digits below the microsecond: `rescue` it, the default, or `truncate` them"
)
_TEXT_VALUES = {
    "numbers": "which texts a number column takes: `exact` (default), those that the number "
    "gives back; `padded`, also with leading zeros or a plus sign; `rounded`, also with more "
    "digits than a double holds",
    "nanoseconds": _NANOSECONDS,
}
BY_FORMAT: Mapping[str, Mapping[str, str]] = {
    "json": {
        "multiLine": "true: each file is one object, or one array of objects",
        "concatenated": "true: a line may have several objects, without a line break between them",
        "encoding": _ENCODING,
        **_TIME_FORMATS,
        **_TEXT_VALUES,
    },
    "csv": {
        "header": "whether each file starts with a line of column names; default true",
        "skip_rows": "number of lines before the header, such as titles; default 0",
        "header_case": "`ignore`: names in a header are those of the table's columns in any letter "
        "case; default `exact`",
        "rename_columns": "`snake_case`, or a mapping of names in headers to names of columns; "
        "repeated names are numbered: `name`, `name_2`",
        "decimal_comma": "whether numbers are written as `1.234,56` or `12,5`; default false",
        "sep": "the field separator; default a comma. A file whose first line is `sep=;`, as Excel "
        "writes it, has its own",
        "delimiter": "another name for `sep`",
        "quote": "the character around fields that contain separators or line ends; empty for none",
        "escape": 'the character before a quote inside quotes; default `"`, as in RFC 4180',
        "comment": "skip lines that start with this character",
        "multiLine": "whether a quoted field may span several lines; default true. With false, "
        "large files are read in parts",
        "nullValue": "text that means null, besides an empty field",
        "emptyValue": "the value of an empty quoted field",
        "ignoreLeadingWhiteSpace": "whether to strip white space before a field; default false",
        "ignoreTrailingWhiteSpace": "whether to strip white space after a field; default false",
        "encoding": _ENCODING,
        **_TIME_FORMATS,
        **_TEXT_VALUES,
    },
    "text": {
        "wholetext": "true: each file is one row",
        "encoding": _ENCODING,
    },
    "parquet": {"nanoseconds": _NANOSECONDS},
    "avro": {"nanoseconds": _NANOSECONDS},
    "binary": {},
}
# What other programs call an option, without underscores.
_OTHER_NAMES = {
    **dict.fromkeys(("separator", "fieldseparator", "fieldsep", "delim"), "sep"),
    **dict.fromkeys(("quotechar", "quoting"), "quote"),
    **dict.fromkeys(("escapechar", "escapecharacter"), "escape"),
    **dict.fromkeys(("charset", "codec", "fileencoding"), "encoding"),
    **dict.fromkeys(("hasheader", "headers", "firstrowisheader"), "header"),
    **dict.fromkeys(("navalues", "nullvalues", "nulls", "nullif"), "nullValue"),
    **dict.fromkeys(("decimal", "decimalseparator"), "decimal_comma"),
    **dict.fromkeys(("jsonlines", "lines"), "concatenated"),
}
# The option whose value may be a mapping.
RENAME_COLUMNS = "rename_columns"
_SNAKE_CASE = "snake_case"


def _is_flag(value: object) -> bool:
    return str(value).lower() in ("true", "false")


def _is_character(value: object) -> bool:
    return len(str(value)) <= 1


def _is_count(value: object) -> bool:
    return not isinstance(value, bool) and re.fullmatch("[0-9]{1,6}", str(value)) is not None


def _is_sep(value: object) -> bool:
    return bool(str(value)) and not set(str(value)) & {"\n", "\r"}


def _is_renaming(value: object) -> bool:
    if isinstance(value, str):
        # A mapping is kept as JSON.
        return value == _SNAKE_CASE or (value.startswith("{") and _is_renaming(_parsed(value)))
    names = list(value.values()) if isinstance(value, Mapping) else [None]
    return all(isinstance(name, str) and name for name in names) and len({*names}) == len(names)


def _parsed(text: str) -> object:
    try:
        parsed: object = json.loads(text)
    except ValueError:
        return None
    return parsed


def _one_of(*words: str) -> tuple[Callable[[object], bool], str]:
    return words.__contains__, " or ".join(words)


_FLAG = (_is_flag, "true or false")
_CHARACTER = (_is_character, "one character, or empty for none")
_SEP = (_is_sep, "one or several characters, and no line end")
# The values that an option may have: a check, and a description.
_VALUES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    **dict.fromkeys(
        (
            "multiLine",
            "concatenated",
            "header",
            "decimal_comma",
            "ignoreLeadingWhiteSpace",
            "ignoreTrailingWhiteSpace",
            "wholetext",
        ),
        _FLAG,
    ),
    **dict.fromkeys(("quote", "escape", "comment"), _CHARACTER),
    **dict.fromkeys(("sep", "delimiter"), _SEP),
    "skip_rows": (_is_count, "a number of lines, 0 or more"),
    "header_case": _one_of("ignore", "exact"),
    "numbers": _one_of("exact", "padded", "rounded"),
    "nanoseconds": _one_of("rescue", "truncate"),
    RENAME_COLUMNS: (_is_renaming, "snake_case, or a mapping of names to different new names"),
}


def faults(form: str, options: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Options that a format's reader does not know or take, each with an error message."""
    known = BY_FORMAT.get(form)
    for option, value in options.items() if known is not None else ():
        if known is not None and option not in known:
            other = _OTHER_NAMES.get(option.lower().replace("_", ""))
            meant = other if other in known else nearest(option, known)
            suggested = f"did you mean `{meant}`? " if meant else ""
            listed = f"it has {', '.join(known)}" if known else "it has none"
            yield option, f"not an option of the {form} reader; {suggested}{listed}"
        elif option in _VALUES and not _VALUES[option][0](value):
            yield option, f"not a value of this option; allowed: {_VALUES[option][1]}"
        elif isinstance(value, Mapping) and option != RENAME_COLUMNS:
            yield option, "not a value of this option; allowed: text, a number, true or false"


def markdown_table() -> str:
    """A Markdown table of format, option and meaning, for docs/autoloader.md."""
    rows = ["| format | option | |", "|---|---|---|"]
    rows += [
        f"| {form} | `{option}` | {meaning} |"
        for form, options in BY_FORMAT.items()
        for option, meaning in options.items()
    ]
    return "\n".join(rows) + "\n"
