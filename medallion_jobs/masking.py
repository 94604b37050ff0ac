"""Keeps the secrets that this process was given out of its messages and logs."""

from __future__ import annotations

import json
import re
import traceback
from typing import Any
from urllib.parse import quote

MASK = "***"
# A shorter secret is part of many words, which would be masked too.
SHORTEST = 6

_LOGIN_IN_URL = re.compile(r"(//[^/\s@]*:)[^/\s@]+(?=@)|(\bpassw(?:or)?d=)[^&\s]+", re.IGNORECASE)

_known: set[str] = set()


def remember(secret: str) -> None:
    """Makes `masked` replace this secret from now on, also in its URL and JSON encodings."""
    if len(secret) >= SHORTEST:
        _known.update((secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]))


def masked(text: str) -> str:
    """The text with every secret, and every password in a URL, replaced by `***`."""
    # The longest first: a secret may be the beginning of another.
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return without_login(text)


def masked_json(value: object, *, indent: int | None = None) -> str:
    """A value as JSON, with every text in it masked; what JSON does not know becomes text.

    `masked` of a line of JSON may take a quote for a part of a password.
    """
    return json.dumps(_masked_inside(json.loads(json.dumps(value, default=str))), indent=indent)


def _masked_inside(value: Any) -> Any:
    if isinstance(value, dict):
        return {masked(key): _masked_inside(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked_inside(inner) for inner in value]
    return masked(value) if isinstance(value, str) else value


def without_secrets(failure: BaseException) -> BaseException:
    """The failure itself, or, if its traceback holds a secret, a new one with the masked text."""
    text = "".join(traceback.format_exception(failure))
    masked_text = masked(text)
    return failure if masked_text == text else RuntimeError(masked_text)


def without_login(text: str) -> str:
    """The text with every password in a URL replaced by `***`."""
    return _LOGIN_IN_URL.sub(rf"\1\2{MASK}", text)
