"""Reads the mirror of Central, its password and a proxy from Maven's settings.xml."""

from __future__ import annotations

import os
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from medallion_jobs.errors import UsageError


@dataclass(frozen=True)
class Mirror:
    """A mirror of Central: its address, and the user and password of its `<server>`."""

    url: str
    login: tuple[str, str] | None
    file: Path


@dataclass(frozen=True)
class Proxy:
    """An active `<proxy>`; `url` includes the user and password, if any."""

    protocol: str
    url: str
    direct_hosts: tuple[str, ...]


def settings_files() -> list[Path]:
    """The user's settings.xml, then that of the `mvn` on PATH, in the precedence of `mvn`."""
    files = [Path.home() / ".m2" / "settings.xml"]
    mvn = shutil.which("mvn")
    if mvn:
        files.append(Path(mvn).resolve().parents[1] / "conf" / "settings.xml")
    return [file for file in files if file.is_file()]


def central_mirror() -> Mirror | None:
    """The first mirror of Central, or None.

    Raises:
        UsageError: a settings.xml is not XML.
    """
    for file in settings_files():
        settings = _read(file)
        for mirror in settings.iterfind("{*}mirrors/{*}mirror"):
            if _mirrors_central(_text(mirror, "mirrorOf")) and not _true(mirror, "blocked"):
                login = _login(settings, _text(mirror, "id"))
                return Mirror(_text(mirror, "url"), login, file)
    return None


def active_proxy(protocol: str, host: str) -> str | None:
    """The proxy's address for `protocol` (http or https) and `host`; None for a direct access.

    Raises:
        UsageError: a settings.xml is not XML.
    """
    proxies = [proxy for file in settings_files() for proxy in _proxies(_read(file))]
    # As in Maven, a proxy of the other protocol is used if there is none for this one.
    for proxy in sorted(proxies, key=lambda proxy: proxy.protocol != protocol):
        direct = any(fnmatch(host, pattern) for pattern in proxy.direct_hosts)
        return None if direct else proxy.url
    return None


def _read(file: Path) -> ET.Element:
    try:
        return ET.fromstring(file.read_bytes())  # noqa: S314  the user's own file
    except ET.ParseError as error:
        raise UsageError(
            f"{file} is not XML: {error}",
            untouched="nothing was fetched",
            next_step="fix that file, or set MEDALLION_MAVEN_URL to the repository to use",
        ) from error


def _mirrors_central(mirror_of: str) -> bool:
    names = {name.strip() for name in mirror_of.split(",")}
    return "!central" not in names and not names.isdisjoint({"central", "*", "external:*"})


def _login(settings: ET.Element, server_id: str) -> tuple[str, str] | None:
    for server in settings.iterfind("{*}servers/{*}server"):
        if _text(server, "id") == server_id and _text(server, "username"):
            return _text(server, "username"), _text(server, "password")
    return None


def _proxies(settings: ET.Element) -> Iterator[Proxy]:
    for proxy in settings.iterfind("{*}proxies/{*}proxy"):
        if _text(proxy, "active") == "false":
            continue
        user, password = _text(proxy, "username"), _text(proxy, "password")
        login = f"{user}:{password}@" if user else ""
        yield Proxy(
            protocol=_text(proxy, "protocol") or "http",
            url=f"http://{login}{_text(proxy, 'host')}:{_text(proxy, 'port') or 8080}",
            direct_hosts=tuple(_text(proxy, "nonProxyHosts").split("|")),
        )


def _true(parent: ET.Element, name: str) -> bool:
    return _text(parent, name) == "true"


def _text(parent: ET.Element, name: str) -> str:
    """The child's text with Maven's `${env.NAME}` resolved; empty if there is no child."""
    text = (parent.findtext(f"{{*}}{name}") or "").strip()
    return re.sub(r"\$\{env\.(\w+)\}", lambda match: os.environ.get(match[1], match[0]), text)
