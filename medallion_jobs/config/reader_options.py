"""The options that the reader of each format knows, under `bronze.NAME.source.options`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from medallion_jobs.config.problems import nearest

_ENCODING = "encoding of the files; UTF-8 by default"
_MOMENTS = {
    "timestampFormat": "how timestamps are written, as Spark's datetime pattern",
    "dateFormat": "how dates are written, as Spark's datetime pattern",
}
BY_FORMAT: Mapping[str, Mapping[str, str]] = {
    "json": {
        "multiLine": "true: each file is one object, or one array of objects",
        "encoding": _ENCODING,
        **_MOMENTS,
    },
    "csv": {
        "header": "whether each file begins with the names of its columns; true",
        "sep": "the text between two fields; a comma",
        "delimiter": "another name of `sep`",
        "quote": "the character around fields that hold separators or line ends; empty for none",
        "escape": 'before a quote within quotes; another `"`, as RFC 4180 has it',
        "comment": "lines that begin with this character are left out",
        "multiLine": "whether a quoted field may go over several lines; true. With false, large "
        "files are read in parts",
        "nullValue": "besides nothing at all, the text that stands for null",
        "emptyValue": "what two quotes with nothing between them stand for",
        "ignoreLeadingWhiteSpace": "whether white space before a field is left out; false",
        "ignoreTrailingWhiteSpace": "whether white space after a field is left out; false",
        "encoding": _ENCODING,
        **_MOMENTS,
    },
    "text": {
        "wholetext": "true: each file is one row",
        "encoding": _ENCODING,
    },
    "parquet": {},
    "avro": {},
    "binary": {},
}


def unknown(form: str, options: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Options that a format's reader does not know, each with what is wrong, in words."""
    known = BY_FORMAT.get(form)
    for option in options if known is not None else ():
        if known is not None and option not in known:
            meant = nearest(option, known)
            suggested = f"did you mean `{meant}`? " if meant else ""
            listed = f"it knows {', '.join(known)}" if known else "it has none"
            yield option, f"no option of the {form} reader; {suggested}{listed}"


def markdown_table() -> str:
    """Format, option and meaning: docs/autoloader.md holds it."""
    rows = ["| format | option | |", "|---|---|---|"]
    rows += [
        f"| {form} | `{option}` | {meaning} |"
        for form, options in BY_FORMAT.items()
        for option, meaning in options.items()
    ]
    return "\n".join(rows) + "\n"
