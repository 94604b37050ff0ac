"""A file as a listing shows it, and the conversion between paths and URIs."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, unquote

# ASCII characters that Java does not escape in a URI's path, besides letters and digits.
_JAVA_SAFE = "_-!.~'()*,;:$&+=@/"
_LOCAL = "file:"

# A file's path and version.
FileKey = tuple[str, int]


@dataclass(frozen=True, order=True)
class FileEntry:
    """A file as a listing shows it.

    Attributes:
        modified_us: last change, in microseconds since 1970.
        path: its URI, as Spark writes it in `_metadata.file_path` (`file:/…`, percent-encoded).
        size: in bytes.
        version: counts the contents that the path has had, from 1.
    """

    modified_us: int
    path: str
    size: int
    version: int = 1

    @property
    def key(self) -> FileKey:
        return self.path, self.version


def is_local(uri: str) -> bool:
    """Whether a URI names a local file."""
    return uri.startswith(_LOCAL)


def to_uri(path: str) -> str:
    """The URI of a local path, exactly as Spark writes it in `_metadata.file_path`.

    Java escapes the characters that are not legal in a URI's path; beyond ASCII, only spaces
    and control characters (java.net.URI, "other" characters). Bytes that are not UTF-8 are
    escaped too. Java cannot open such a file, and the ledger then has its error.
    """
    return _LOCAL + "".join(c if _is_other(c) else _escaped(c) for c in path)


def to_path(uri: str) -> str:
    """The path that Spark's readers take for a URI: a local path, or the unescaped URI."""
    return unquote(uri.removeprefix(_LOCAL), errors="surrogateescape")


def _is_other(c: str) -> bool:
    return not c.isascii() and unicodedata.category(c) not in {"Cc", "Cs", "Zs", "Zl", "Zp"}


def _escaped(c: str) -> str:
    return quote(c, safe=_JAVA_SAFE, errors="surrogateescape")
