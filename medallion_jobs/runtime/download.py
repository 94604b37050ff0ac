"""Brings one file over HTTP, going on where a cut connection stopped."""

from __future__ import annotations

import base64
import os
import shutil
import urllib.request
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

from medallion_jobs.runtime.maven_settings import active_proxy

TIMEOUT_SECONDS = 30  # of silence, not of the whole download
ATTEMPTS = 5  # each must bring some bytes, or it is the last


class UnreachableError(Exception):
    """The network, or the server for the moment, says no; the part stays for the next try."""


class NotThereError(Exception):
    """The server answered, and will not give this file."""


def download(url: str, part: Path, login: tuple[str, str] | None = None) -> None:
    """Writes what `url` holds to `part`, after the bytes that `part` holds already.

    Raises:
        UnreachableError: the connection failed or was cut, and trying again brought nothing.
        NotThereError: the server refuses the file (HTTP 4xx).
    """
    opener = _opener(url)
    for _ in range(ATTEMPTS):
        before = _size(part)
        try:
            _receive(opener, _request(url, login, start=before), part)
            return
        except HTTPError as error:
            error.close()  # it holds the connection
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                part.unlink()  # longer than the file: a left-over of something else
            elif _may_pass(error.code):
                raise UnreachableError(f"HTTP {error.code} {error.reason}") from error
            else:
                raise NotThereError(f"HTTP {error.code} {error.reason}") from error
        except (OSError, HTTPException) as error:
            if _size(part) <= before:
                raise UnreachableError(str(getattr(error, "reason", error))) from error
    raise UnreachableError(f"{ATTEMPTS} connections were cut, one after the other")


def _request(url: str, login: tuple[str, str] | None, start: int) -> urllib.request.Request:
    request = urllib.request.Request(url)  # noqa: S310  maven.py has checked the scheme
    if start:
        request.add_header("Range", f"bytes={start}-")
    if login:
        secret = base64.b64encode(":".join(login).encode()).decode()
        # A redirect leads to a file store of another owner, who must not see it.
        request.add_unredirected_header("Authorization", f"Basic {secret}")
    return request


def _receive(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, part: Path
) -> None:
    with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
        resumed = response.status == HTTPStatus.PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as file:
            came_before = file.tell()
            shutil.copyfileobj(response, file)
            came = file.tell() - came_before
            file.flush()
            os.fsync(file.fileno())
    # A read that meets a cut connection ends as if the file did.
    promised = response.headers.get("Content-Length")
    if promised is not None and came < int(promised):
        raise ConnectionError(f"the connection was cut after {came} of {promised} bytes")


def _opener(url: str) -> urllib.request.OpenerDirector:
    """The environment's proxies, as everywhere; else the active one of settings.xml."""
    parts = urlsplit(url)
    if parts.hostname and parts.scheme not in urllib.request.getproxies():
        proxy = active_proxy(parts.scheme, parts.hostname)
        if proxy:
            handler = urllib.request.ProxyHandler({parts.scheme: proxy})
            return urllib.request.build_opener(handler)
    return urllib.request.build_opener()


def _may_pass(status: int) -> bool:
    """Whether the same request may well be answered later."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in (
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
