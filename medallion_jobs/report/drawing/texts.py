"""The approximate width of text in a drawing, and text cut to a width."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

# Widths relative to the font size, for the widest font that a browser may choose.
_MONO = 0.61
_WIDE = 1.1
_SANS: Mapping[str, float] = {
    **dict.fromkeys("Iijl|.,:;'", 0.36),
    **dict.fromkeys(' ()[]ft/\\-r!"_`', 0.52),
    **dict.fromkeys("abcdeghknopqsuvxyz0123456789*?${}FJL", 0.66),
    **dict.fromkeys("ABCDEGHKNOPQRSTUVXYZ~+=<>^#&", 0.84),
    **dict.fromkeys("mw", 0.98),
    **dict.fromkeys("MW@%…→", 1.0),
}
_CUT = "…"


def width(text: str, size: float, *, mono: bool = False) -> float:
    """The maximum width of a line of text, in the unit of the font size."""
    return size * sum(_width_of(character, mono) for character in text)


def fitted(text: str, room: float, size: float, *, mono: bool = False) -> str:
    """The text on one line, cut to the width `room`."""
    line = " ".join(text.split())
    if width(line, size, mono=mono) <= room:
        return line
    left = room - width(_CUT, size, mono=mono)
    kept = ""
    for character in line:
        left -= size * _width_of(character, mono)
        if left < 0:
            break
        kept += character
    return kept.rstrip() + _CUT


def _width_of(character: str, mono: bool) -> float:
    if unicodedata.east_asian_width(character) in "WF" or ord(character) > 0xFFFF:  # noqa: PLR2004
        return 2 * _MONO
    return _MONO if mono else _SANS.get(character, _WIDE)
