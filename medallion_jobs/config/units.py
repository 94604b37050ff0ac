"""Parses and formats sizes, durations and shares: `10m`, `2g`, `10s`, `1%`."""

from __future__ import annotations

import re
from datetime import timedelta

SIZE_PATTERN = r"^[1-9][0-9]*[bkmgtBKMGT]?$"
TIME_PATTERN = r"^[1-9][0-9]*(ms|s|m|h|d)$"
SHARE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?%?$"

_BYTES = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_TIMES = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
# Spark stores sizes as signed 64-bit integers, and durations as milliseconds in such integers.
_LARGEST = (1 << 63) - 1
_LONGEST = timedelta(days=3650)


def parse_size(size: object) -> int:
    """Bytes from `1024`, `10m` or `2G`; k, m, g and t count by 1024.

    Raises:
        ValueError: not a size, zero, or more than 64 bits hold.
    """
    text = str(size) if isinstance(size, int) and not isinstance(size, bool) else size
    if not isinstance(text, str) or not re.fullmatch(SIZE_PATTERN, text):
        raise ValueError("not a size")
    unit = text[-1].lower()
    count = int(text[:-1]) * _BYTES[unit] if unit in _BYTES else int(text)
    if count > _LARGEST:
        raise ValueError("too large a size")
    return count


def format_size(count: int) -> str:
    """The shortest text that `parse_size` reads as `count` bytes."""
    for unit in ("t", "g", "m", "k"):
        if count % _BYTES[unit] == 0:
            return f"{count // _BYTES[unit]}{unit}"
    return str(count)


def parse_time(time: object) -> timedelta:
    """A duration from `500ms`, `10s`, `5m`, `2h` or `1d`.

    Raises:
        ValueError: not a duration, zero, or more than ten years.
    """
    if isinstance(time, timedelta):
        time = format_time(time)
    match = re.fullmatch(TIME_PATTERN, time) if isinstance(time, str) else None
    if not match or not isinstance(time, str):
        raise ValueError("not a duration")
    unit = match[1]
    count = int(time.removesuffix(unit))
    if count > _LONGEST // _TIMES[unit]:
        raise ValueError("too long a duration")
    return count * _TIMES[unit]


def format_time(time: timedelta) -> str:
    """The shortest text that `parse_time` reads as `time`, to the millisecond."""
    for unit in ("d", "h", "m", "s"):
        if time % _TIMES[unit] == timedelta(0):
            return f"{time // _TIMES[unit]}{unit}"
    return f"{time // _TIMES['ms']}ms"


def parse_share(share: object) -> float:
    """A share from 0 to 1, from `1%`, `0.5 %` or `0.01`.

    Raises:
        ValueError: not a share, or not between 0 and 1.
    """
    if isinstance(share, str):
        text = share.strip()
        number = text.removesuffix("%").strip() if re.fullmatch(SHARE_PATTERN, text) else ""
        if not number:
            raise ValueError("not a share")
        share = float(number) / (100 if text.endswith("%") else 1)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ValueError("not a share")
    return float(share)


def format_share(share: float) -> str:
    """A text that `parse_share` reads as `share`: `1%`, `0.25%`."""
    return f"{share * 100:.10g}%"
