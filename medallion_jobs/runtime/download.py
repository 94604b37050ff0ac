"""Downloads one file over HTTP, and resumes after a lost connection."""

from __future__ import annotations

import base64
import os
import shutil
import urllib.request
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

TIMEOUT_SECONDS = 30  # of silence, not of the whole download
ATTEMPTS = 5  # the next one is made only if this one received some bytes


class UnreachableError(Exception):
    """The network or the server fails, maybe temporarily; the partial file is kept."""


class NotThereError(Exception):
    """The server refuses to send this file."""


def download(url: str, part: Path, login: tuple[str, str] | None = None) -> None:
    """Downloads `url` to `part`; continues after the bytes that `part` already has.

    Raises:
        UnreachableError: the connection failed or was lost, and a retry received nothing.
        NotThereError: the server refuses the file (HTTP 4xx).
    """
    opener = urllib.request.build_opener()  # with the proxies of the environment
    for _ in range(ATTEMPTS):
        before = _size(part)
        try:
            _receive(opener, _request(url, login, start=before), part)
            return
        except HTTPError as error:
            error.close()  # it holds the connection
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                part.unlink()  # longer than the file: left over from another file
            elif _is_temporary(error.code):
                raise UnreachableError(f"HTTP {error.code} {error.reason}") from error
            else:
                raise NotThereError(f"HTTP {error.code} {error.reason}") from error
        except (OSError, HTTPException) as error:
            if _size(part) <= before:
                raise UnreachableError(str(getattr(error, "reason", error))) from error
    raise UnreachableError(f"{ATTEMPTS} connections were lost in a row")


def _request(url: str, login: tuple[str, str] | None, start: int) -> urllib.request.Request:
    request = urllib.request.Request(url)  # noqa: S310  maven.py has checked the scheme
    if start:
        request.add_header("Range", f"bytes={start}-")
    if login:
        secret = base64.b64encode(":".join(login).encode()).decode()
        # A redirect may lead to a host of another owner, which must not see it.
        request.add_unredirected_header("Authorization", f"Basic {secret}")
    return request


def _receive(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, part: Path
) -> None:
    with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
        resumed = response.status == HTTPStatus.PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as file:
            start = file.tell()
            shutil.copyfileobj(response, file)
            received = file.tell() - start
            file.flush()
            os.fsync(file.fileno())
    # When the connection is lost, the read ends as at the end of the file.
    expected = response.headers.get("Content-Length")
    if expected is not None and received < int(expected):
        raise ConnectionError(f"the connection was lost after {received} of {expected} bytes")


def _is_temporary(status: int) -> bool:
    """Whether a later retry of the same request may succeed."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in (
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
