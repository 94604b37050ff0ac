"""The reader options of each format, under `bronze.NAME.source.options`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from medallion_jobs.config.problems import nearest

_ENCODING = "encoding of the files; UTF-8 by default"
_TIME_FORMATS = {
    "timestampFormat": "format of timestamps, as a Spark datetime pattern",
    "dateFormat": "format of dates, as a Spark datetime pattern",
}
_NANOSECONDS = (
    "a timestamp with digits below the microsecond: `rescue` it, the default, or `truncate` them"
)
BY_FORMAT: Mapping[str, Mapping[str, str]] = {
    "json": {
        "multiLine": "true: each file is one object, or one array of objects",
        "encoding": _ENCODING,
        **_TIME_FORMATS,
    },
    "csv": {
        "header": "whether each file starts with a line of column names; default true",
        "sep": "the field separator; default a comma",
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
    },
    "text": {
        "wholetext": "true: each file is one row",
        "encoding": _ENCODING,
    },
    "parquet": {"nanoseconds": _NANOSECONDS},
    "avro": {"nanoseconds": _NANOSECONDS},
    "binary": {},
}
# The values of options that have only a few.
_VALUES = {"nanoseconds": ("rescue", "truncate")}


def unknown(form: str, options: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Options or values that a format's reader does not know, each with an error message."""
    known = BY_FORMAT.get(form)
    for option in options if known is not None else ():
        if known is not None and option not in known:
            meant = nearest(option, known)
            suggested = f"did you mean `{meant}`? " if meant else ""
            listed = f"it has {', '.join(known)}" if known else "it has none"
            yield option, f"not an option of the {form} reader; {suggested}{listed}"
        elif (values := _VALUES.get(option)) and options[option] not in values:
            yield option, f"it has to be {' or '.join(values)}"


def markdown_table() -> str:
    """A Markdown table of format, option and meaning, for docs/autoloader.md."""
    rows = ["| format | option | |", "|---|---|---|"]
    rows += [
        f"| {form} | `{option}` | {meaning} |"
        for form, options in BY_FORMAT.items()
        for option, meaning in options.items()
    ]
    return "\n".join(rows) + "\n"
