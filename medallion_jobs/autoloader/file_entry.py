"""A file as a listing shows it, and how its place is written."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, unquote

# ASCII that Java leaves as it is in a URI's path, besides letters and digits.
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
        version: which content of the path this is, counted from 1.
    """

    modified_us: int
    path: str
    size: int
    version: int = 1

    @property
    def key(self) -> FileKey:
        return self.path, self.version


def is_local(uri: str) -> bool:
    """Whether a URI names a file of this machine."""
    return uri.startswith(_LOCAL)


def to_uri(path: str) -> str:
    """A local path to the letter as Spark writes it in `_metadata.file_path`.

    Java escapes what is not legal in a URI's path, and beyond ASCII only spaces and control
    characters (java.net.URI, "other" characters). A byte that is no UTF-8 is escaped too;
    Java cannot open such a file, and the ledger will say so.
    """
    return _LOCAL + "".join(c if _is_other(c) else _escaped(c) for c in path)


def to_path(uri: str) -> str:
    """What a URI names as Spark's readers take it: a local path, or the URI unescaped."""
    return unquote(uri.removeprefix(_LOCAL), errors="surrogateescape")


def _is_other(c: str) -> bool:
    return not c.isascii() and unicodedata.category(c) not in {"Cc", "Cs", "Zs", "Zl", "Zp"}


def _escaped(c: str) -> str:
    return quote(c, safe=_JAVA_SAFE, errors="surrogateescape")
