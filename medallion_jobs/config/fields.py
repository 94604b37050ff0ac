"""The types of values in a config.

The `title` of each type describes what is allowed; the JSON Schema, the errors and
docs/config.md use it. Validators never put the value into their message: it may be a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from medallion_jobs.config import units
from medallion_jobs.config.names import (
    IDENTIFIER_PATTERN,
    In,
    TableRef,
    folder,
    landing_folder,
)
from medallion_jobs.config.secrecy import Hidden
from medallion_jobs.storage import S3

REFUSED = "refused"
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`"
_CHANGING = re.compile(
    r"\b(current_timestamp|current_date|localtimestamp|current_time)\b"
    r"|\b(now|curdate|rand|randn|random|randstr|uuid|uuidv7|shuffle|monotonically_increasing_id"
    r"|spark_partition_id|input_file_name)\s*\("
    r"|\bunix_timestamp\s*\(\s*\)",
    re.IGNORECASE,
)
# What a key takes that keeps everything as text.
ANY_AS_TEXT = "text, a number, true or false"
IDENTIFIER_ALLOWED = "letters, digits and _, no digit first, 64 at most"


def refused(reason: str) -> PydanticCustomError:
    """An error whose `reason` the user sees unchanged; it must not contain the value."""
    return PydanticCustomError(REFUSED, "{reason}", {"reason": reason})


def _kept_hidden(value: Any, validate: Callable[[Any], str]) -> str:
    # Validation returns a plain str, whose repr would show a secret.
    text = validate(value)
    return value if isinstance(value, Hidden) else text


def _folder(text: str) -> str:
    try:
        folder(text, S3())
    except ValueError as error:
        raise refused(str(error)) from None
    return text


def _deterministic(sql: str) -> str:
    """Refuses functions that give another value when a batch is computed a second time."""
    found = _CHANGING.search(re.sub(_QUOTED, "''", sql))
    if found:
        raise refused(
            f"{found[0].rstrip('( ')} gives a different value each time a row is computed, so a "
            "row could be written twice or not at all; use a column such as _load_time, or a "
            "rule with `recent`"
        )
    return sql


def _landing_folder(text: str) -> str:
    try:
        return landing_folder(text)
    except ValueError as error:
        raise refused(str(error)) from None


def moment(value: object) -> object:
    """A moment from text such as `2026-01-31` or `2026-01-31T12:00Z`; in UTC by default.

    Raises:
        ValueError, TypeError: not a moment.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            raise ValueError("not a timestamp") from None
    if not isinstance(value, datetime):
        raise TypeError("not a timestamp")
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


def _count(value: object) -> object:
    if isinstance(value, str) and value.isdecimal():  # from a placeholder
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not a whole number")
    return value


def as_list(value: object) -> object:
    """A list of one text, where a list of texts may be a text alone."""
    return [value] if isinstance(value, str) else value


def _as_text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _as_option(value: object) -> object:
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    return _as_text(value)


HIDES = WrapValidator(_kept_hidden)

Scalar = str | int | float | bool
Identifier = Annotated[
    str,
    Field(
        pattern=IDENTIFIER_PATTERN,
        title=IDENTIFIER_ALLOWED,
    ),
    HIDES,
]
Names = Annotated[
    tuple[Identifier, ...],
    Field(min_length=1, title="a list of names, one or more"),
]
SelectNames = Annotated[
    tuple[
        Annotated[
            str,
            Field(
                pattern=IDENTIFIER_PATTERN.removesuffix("$") + r"\??$",
                title=f"{IDENTIFIER_ALLOWED}; with a ? after it, a column that may be missing",
            ),
            HIDES,
        ],
        ...,
    ],
    Field(min_length=1, title="a list of names, one or more"),
]
OneOrMoreNames = Annotated[
    tuple[Identifier, ...],
    Field(min_length=1, title="a name, or a list of names"),
    BeforeValidator(as_list, json_schema_input_type=Identifier | tuple[Identifier, ...]),
]
Sql = Annotated[str, Field(pattern=r"\S", title="a Spark SQL expression, as text"), HIDES]
SavedSql = Annotated[str, Field(pattern=r"\S", title="an SQL query, as text"), HIDES]
RowSql = Annotated[
    str,
    Field(pattern=r"\S", title="a Spark SQL expression over the row, as text"),
    AfterValidator(_deterministic),
    HIDES,
]
GroupSql = Annotated[
    str,
    Field(pattern=r"\S", title="a Spark SQL aggregate, as text"),
    AfterValidator(_deterministic),
    HIDES,
]
Ddl = Annotated[
    str,
    Field(
        pattern=r"\S",
        title="columns as Spark DDL, such as `id bigint not null, name string`",
    ),
    HIDES,
]
DdlType = Annotated[
    str,
    Field(pattern=r"\S", title="a type as in Spark DDL, such as `decimal(12,2)`"),
    HIDES,
]
Function = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        title="a Python function as package.module:function",
    ),
    HIDES,
]
Folder = Annotated[
    str,
    Field(title="a folder, as a path or a file:// or s3a:// URI"),
    AfterValidator(_folder),
    HIDES,
]
LandingFolder = Annotated[
    str,
    Field(title="a folder, or a pattern of folders, as a path or a URI"),
    AfterValidator(_landing_folder),
    HIDES,
]
Folders = Annotated[
    tuple[LandingFolder, ...],
    Field(min_length=1, title="a folder or a pattern of folders, or a list of them"),
    BeforeValidator(as_list, json_schema_input_type=LandingFolder | tuple[LandingFolder, ...]),
]
Moment = Annotated[
    datetime,
    BeforeValidator(moment, json_schema_input_type=str),
    Field(title="a date or time such as `2026-01-31` or `2026-01-31T12:00Z`, UTC by default"),
]
Master = Annotated[
    str,
    Field(
        pattern=r"^(local(\[([1-9][0-9]*|\*)(,[0-9]+)?\])?|yarn|(spark|k8s)://\S+)$",
        title="local[N], spark://HOST:PORT, k8s://URL or yarn",
    ),
    HIDES,
]
Memory = Annotated[
    str,
    Field(pattern=r"^[1-9][0-9]*[kmgtKMGT]$", title="a size with its unit, such as `800m` or `2g`"),
    HIDES,
]
Count = Annotated[
    int, Field(ge=1, le=2**31 - 1, title="a whole number, 1 or more"), BeforeValidator(_count)
]
Attempts = Annotated[
    int, Field(ge=0, le=2**31 - 1, title="a whole number, 0 or more"), BeforeValidator(_count)
]
Size = Annotated[
    int,
    BeforeValidator(units.parse_size),
    PlainSerializer(units.format_size, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "title": "bytes, or a size such as `10m` or `2g`",
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": units.SIZE_PATTERN},
            ],
        }
    ),
]
Share = Annotated[
    float,
    BeforeValidator(units.parse_share),
    PlainSerializer(units.format_share, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "title": "a share such as `1%`, or a number from 0 to 1",
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": units.SHARE_PATTERN},
            ],
        }
    ),
]
Time = Annotated[
    timedelta,
    BeforeValidator(units.parse_time),
    PlainSerializer(units.format_time, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": units.TIME_PATTERN,
            "title": "a duration such as `500ms`, `10s`, `5m` or `1h`",
        }
    ),
]
SparkValue = Annotated[
    str,
    BeforeValidator(_as_text, json_schema_input_type=str | int | float | bool),
    Field(title=ANY_AS_TEXT),
    HIDES,
]
ReaderOption = Annotated[
    str,
    BeforeValidator(_as_option, json_schema_input_type=str | int | float | bool | dict[str, str]),
    Field(title=f"{ANY_AS_TEXT}; for `rename_columns` also a mapping"),
    HIDES,
]
AllAside = Literal["warn", "fail"]
OnSourceChange = Literal["fail", "keep"]
AnyTable = Annotated[TableRef, In(("bronze", "silver", "gold"))]
SilverInput = Annotated[TableRef, In(("bronze", "silver"))]
GoldInput = Annotated[TableRef, In(("silver",))]
