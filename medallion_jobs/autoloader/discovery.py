"""Which files lie in a source folder."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from medallion_jobs.errors import UsageError

# ASCII that Java leaves as it is in a URI's path, besides letters and digits.
_JAVA_SAFE = "_-!.~'()*,;:$&+=@/"


@dataclass(frozen=True, order=True)
class Found:
    """A file as a listing shows it.

    Attributes:
        modified_us: last change, in microseconds since 1970.
        path: its URI, as Spark writes it (`file:/…`, percent-encoded).
        size: in bytes.
    """

    modified_us: int
    path: str
    size: int


def check_folder(folder: Path) -> None:
    """Raises UsageError when there is no such landing folder."""
    if not folder.is_dir():
        raise UsageError(
            f"there is no landing folder {folder}",
            untouched="nothing was started",
            next_step="make it, or fill it with `medallion generate`",
        )


def scan(folder: Path) -> Iterator[Found]:
    """Every regular file below `folder`, hidden and temporary ones left out.

    Hidden is what Spark and Hadoop hold for hidden: a name that begins with `.` or `_`.
    Symbolic links are not followed, and devices and pipes are no files. What is taken away
    while the folder is listed is left out.

    Raises:
        UsageError: there is no such folder.
    """
    check_folder(folder)
    waiting = [folder]
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except FileNotFoundError:
            continue
        with entries:
            for entry in entries:
                if entry.name.startswith((".", "_")):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False) and (found := _found(entry)):
                    yield found


def _found(entry: os.DirEntry[str]) -> Found | None:
    try:
        stat = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Found(stat.st_mtime_ns // 1000, to_uri(entry.path), stat.st_size)


def to_uri(path: str) -> str:
    """A local path to the letter as Spark writes it in `_metadata.file_path`.

    Java escapes what is not legal in a URI's path, and beyond ASCII only spaces and control
    characters (java.net.URI, "other" characters). A byte that is no UTF-8 is escaped too;
    Java cannot open such a file, and the ledger will say so.
    """
    return "file:" + "".join(c if _is_other(c) else _escaped(c) for c in path)


def to_path(uri: str) -> str:
    """The local path of such a URI."""
    return unquote(uri.removeprefix("file:"), errors="surrogateescape")


def _is_other(c: str) -> bool:
    return not c.isascii() and unicodedata.category(c) not in {"Cc", "Cs", "Zs", "Zl", "Zp"}


def _escaped(c: str) -> str:
    return quote(c, safe=_JAVA_SAFE, errors="surrogateescape")
