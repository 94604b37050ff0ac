"""The locale of a JVM, which decides how it writes the names of files.

Under the locale C, a JVM cannot open `März.json`, and makes a folder `Ums?tze` of `Umsätze`.
Its encoding of names cannot be changed once it has started.
"""

from __future__ import annotations

import locale
import os
from collections.abc import Iterable, Mapping
from typing import Any

VARIABLE = "LC_ALL"
# Everywhere but on older systems; on macOS; on systems that were installed with one language.
_NAMES = ("C.UTF-8", "en_US.UTF-8", "C.utf8", "en_US.utf8")
_UTF8 = ("UTF-8", "UTF8")
_BY_PRECEDENCE = ("LC_ALL", "LC_CTYPE", "LANG")


def utf8_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables to set for a process so that its names of files are UTF-8.

    Args:
        environ: the variables that it would have otherwise.

    Returns:
        Nothing if it has a UTF-8 locale already, or if this machine has none.
    """
    set_now = (environ[name] for name in _BY_PRECEDENCE if environ.get(name))
    if _is_utf8(next(set_now, "C")):
        return {}
    name = utf8_name()
    return {VARIABLE: name, "PYTHONUTF8": "1"} if name else {}


def utf8_name() -> str | None:
    """A UTF-8 locale that this machine has."""
    return next(filter(_is_utf8, _NAMES), None)


def impossible_names(jvm: Any, names: Iterable[str]) -> list[str]:
    """The names of local files that a JVM cannot open, or would write otherwise.

    Args:
        jvm: the JVM, through py4j.
        names: paths of this machine, and URIs, which are always possible.
    """
    odd = [name for name in names if not name.isascii() and "://" not in name]
    return odd if odd and not is_in_utf8(jvm) else []


def is_in_utf8(jvm: Any) -> bool:
    """Whether a JVM was started under a UTF-8 locale."""
    return str(jvm.java.lang.System.getProperty("sun.jnu.encoding")).upper() in _UTF8


def _is_utf8(name: str) -> bool:
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, name)
        return locale.nl_langinfo(locale.CODESET).upper() in _UTF8
    except locale.Error:  # it is not installed: the process would have C
        return False
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
