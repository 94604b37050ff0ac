"""The secrets that this process was given, kept out of whatever it says."""

from __future__ import annotations

import json
import re
import traceback
from urllib.parse import quote

MASK = "***"
# A shorter one is a part of many words, and they would be masked in its place.
SHORTEST = 6

_LOGIN_IN_URL = re.compile(r"(//[^/\s@]*:)[^/\s@]+(?=@)|(\bpassw(?:or)?d=)[^&\s]+", re.IGNORECASE)

_known: set[str] = set()


def remember(secret: str) -> None:
    """From here on, `masked` takes it out of every text, as it is and as URLs and JSON have it."""
    if len(secret) >= SHORTEST:
        _known.update((secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]))


def masked(text: str) -> str:
    """The text, with `***` where it holds a secret, or a URL in it a password."""
    # The longest first: one may be the beginning of another.
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return without_login(text)


def tellable(failure: BaseException) -> BaseException:
    """The failure; one of its text alone where that, or a cause's, holds a secret."""
    text = "".join(traceback.format_exception(failure))
    without = masked(text)
    return failure if without == text else RuntimeError(without)


def without_login(text: str) -> str:
    """The text, with `***` for passwords where a URL may hold one."""
    return _LOGIN_IN_URL.sub(rf"\1\2{MASK}", text)
