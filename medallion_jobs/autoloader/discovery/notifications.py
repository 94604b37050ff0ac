"""Parses the lines of a manifest: which files have arrived.

The format is `{"path": …, "size": 123, "modified": "2026-01-31T10:00:00Z"}`, the last two are
optional. S3 event notifications, as a queue delivers them, are accepted unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

from medallion_jobs.autoloader.file_entry import to_uri

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/]*))?(/.*)?", re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FRACTION = re.compile(r"(?<=:\d\d)\.(\d+)")


@dataclass(frozen=True)
class Named:
    """A file that a manifest names.

    Attributes:
        path: its URI, as in `FileEntry`.
        size: in bytes; None if the line has none.
        modified_us: in microseconds since 1970; None if the line has none.
    """

    path: str
    size: int | None
    modified_us: int | None


def parsed(line: bytes) -> list[Named]:
    """The files that a line names; none if it is not about an arrival.

    Raises:
        ValueError: the line is invalid; the text says why.
    """
    try:
        content = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    if "Records" in content:
        return _events(content["Records"])
    if content.get("Event") == "s3:TestEvent":
        return []
    if not isinstance(content.get("path"), str):
        raise ValueError("no `path`")
    return [Named(uri_of(content["path"]), _size(content, "size"), _time(content, "modified"))]


def uri_of(text: str) -> str:
    """The URI of a local path or of a URI, escaped or not, as `FileEntry` has it.

    Raises:
        ValueError: it is neither, or not absolute.
    """
    if text.startswith("/"):
        return to_uri(text)
    match = _SCHEME.fullmatch(text)
    if not match or not match[3] or (match[1] == "file" and match[2]):
        raise ValueError("`path` is neither an absolute path nor a URI")
    scheme, host, path = match[1], match[2], to_uri(unquote(match[3], errors="surrogateescape"))
    if scheme == "file":
        return path
    return f"{scheme}://{host or ''}{path.removeprefix('file:')}"


def _events(records: Any) -> list[Named]:
    if not isinstance(records, list):
        raise ValueError("`Records` is not a list")
    try:
        return [
            Named(
                _s3a(record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])),
                _size(record["s3"]["object"], "size"),
                _time(record, "eventTime"),
            )
            for record in records
            if _is_arrival(record)
        ]
    except (KeyError, TypeError, AttributeError):
        raise ValueError("an event without s3.bucket.name and s3.object.key") from None


def _is_arrival(record: Mapping[str, Any]) -> bool:
    # A key that ends with `/` is a folder that was created in the console.
    created = str(record.get("eventName", "ObjectCreated")).removeprefix("s3:")
    return created.startswith("ObjectCreated") and not record["s3"]["object"]["key"].endswith("/")


def _s3a(bucket: str, key: str) -> str:
    return uri_of(f"s3a://{bucket}/{quote(key)}")


def _size(content: Mapping[str, Any], name: str) -> int | None:
    size = content.get(name)
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
        raise ValueError(f"`{name}` is not a number of bytes")
    return size


def _time(content: Mapping[str, Any], name: str) -> int | None:
    text = content.get(name)
    if text is None:
        return None
    try:
        # Python 3.10 needs exactly six digits.
        text = _FRACTION.sub(lambda digits: f".{digits[1][:6]:0<6}", text.replace("Z", "+00:00"))
        moment = datetime.fromisoformat(text)
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f"`{name}` is not a time such as 2026-01-31T10:00:00Z") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)) - _EPOCH
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds
