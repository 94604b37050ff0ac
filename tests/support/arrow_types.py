"""Every arrow type that parquet files hold: values of it, and what a bronze table makes of each.

What is expected is computed from the values alone, by Python.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EPOCH = dt.datetime(1970, 1, 1)
_TEXTS = (b"", b"a", b"null", '\U0001f600 \u00e9\u0000"\\'.encode(), b"1.50", b"x" * 50)
_BROKEN = (b"\xff\xfe", b"ok\x80", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf0\x9f\x98")


@dataclass(frozen=True)
class Leaf:
    """A type that is not nested.

    Attributes:
        make: a value, as pyarrow takes it.
        stored: the same, as delta-rs reads it; an error if the type has no column.
        shown: the same, as it stands in JSON.
        fits: whether the column can hold it.
    """

    arrow: pa.DataType
    make: Callable[[Random], Any]
    shown: Callable[[Any], Any]
    stored: Callable[[Any], Any] | None = lambda value: value
    fits: Callable[[Any], bool] = lambda _: True


def _whole(bits: int, *, signed: bool = True) -> Callable[[Random], int]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return lambda random: random.choice((low, high, 0, 1, random.randint(low, high)))


def _integer(arrow: pa.DataType, *, stored: Callable[[Any], Any] = int) -> Leaf:
    signed = not str(arrow).startswith("u")
    return Leaf(arrow, _whole(arrow.bit_width, signed=signed), int, stored)


def _number(value: float) -> Any:
    names = {math.inf: "Infinity", -math.inf: "-Infinity"}
    return "NaN" if math.isnan(value) else names.get(value, float(value))


def _decimal(arrow: pa.DataType, *, is_long: bool = False) -> Leaf:
    top = 10**arrow.precision - 1

    def make(random: Random) -> Decimal:
        whole = random.choice(
            (0, 1, -1, top, -top, 1 << 100, -(1 << 128), random.randint(-top, top))
        )
        digits = str(max(min(whole, top), -top))
        return Decimal((digits[0] == "-", tuple(map(int, digits.lstrip("-"))), -arrow.scale))

    def text(value: Decimal) -> str:
        return f"{value:f}"

    if is_long:
        return Leaf(arrow, make, text, None)
    return Leaf(arrow, make, lambda value: value)


_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def _moment(unit: str, zone: str | None) -> Leaf:
    """Values are numbers of units since 1970."""
    per = _PER_SECOND[unit]
    low, high = (-9_000_000_000, 9_000_000_000) if unit == "ns" else (-62_000_000_000, 10**11)

    def make(random: Random) -> int:
        second = random.randint(low, high)
        return second * per + random.choice((0, per // 2, random.randrange(per), per - 1))

    def naive(value: int) -> dt.datetime:
        return EPOCH + dt.timedelta(microseconds=value * 10**6 // per)

    def text(value: int) -> str:
        digits = 9 if unit == "ns" else 6
        rest = value % per * 10**9 // per
        seconds = naive(value).replace(microsecond=0).isoformat()
        return f"{seconds}.{f'{rest:09}'[:digits]}" + "Z" * bool(zone)

    def stored(value: int) -> dt.datetime:
        return naive(value).replace(tzinfo=dt.timezone.utc if zone else None)

    fits = (lambda value: value % 1000 == 0) if unit == "ns" else (lambda _: True)
    return Leaf(pa.timestamp(unit, zone), make, text, stored, fits)


def _time(arrow: pa.DataType, unit: str) -> Leaf:
    per = _PER_SECOND[unit]
    digits = {"s": 3, "ms": 3, "us": 6, "ns": 9}[unit]

    def text(value: int) -> str:
        seconds, rest = divmod(value, per)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{clock}.{f'{rest * 10**9 // per:09}'[:digits]}"

    return Leaf(arrow, lambda random: random.randrange(86_400 * per), text, None)


def _bytes(arrow: pa.DataType, size: int | None = None) -> Leaf:
    def make(random: Random) -> bytes:
        return random.randbytes(random.randrange(4) if size is None else size)

    return Leaf(arrow, make, lambda value: base64.b64encode(value).decode())


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _text(arrow: pa.DataType) -> Leaf:
    """Values are bytes; some of them are not UTF-8."""

    def shown(value: bytes) -> str:
        return value.decode() if _is_text(value) else base64.b64encode(value).decode()

    return Leaf(
        arrow, lambda random: random.choice(_TEXTS * 2 + _BROKEN), shown, bytes.decode, _is_text
    )


def _double(random: Random) -> float:
    odd = (0.0, -0.0, 0.1, 1e300, 5e-324, math.inf, -math.inf, math.nan)
    return random.choice((*odd, random.gauss(0, 1e6)))


def _half(random: Random) -> Any:
    return np.array([random.randrange(1 << 16)], np.uint16).view(np.float16)[0]


def _day(random: Random) -> dt.date:
    return dt.date.fromordinal(random.randint(1, dt.date.max.toordinal()))


LEAVES = (
    Leaf(pa.bool_(), lambda random: random.random() < 0.5, bool),
    *map(_integer, (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
    *map(_integer, (pa.uint8(), pa.uint16(), pa.uint32())),
    _integer(pa.uint64(), stored=Decimal),
    Leaf(pa.float16(), _half, lambda value: _number(float(value)), float),
    Leaf(pa.float32(), lambda random: np.float32(_double(random) % 1e30), _number, float),
    Leaf(pa.float64(), _double, _number),
    *map(_text, (pa.string(), pa.large_string())),
    *map(_bytes, (pa.binary(), pa.large_binary())),
    _bytes(pa.binary(3), 3),
    Leaf(pa.date32(), _day, dt.date.isoformat),
    *(_moment(unit, zone) for unit in _PER_SECOND for zone in (None, "UTC")),
    *(_time(pa.time32(unit), unit) for unit in ("s", "ms")),
    *(_time(pa.time64(unit), unit) for unit in ("us", "ns")),
    *map(_decimal, (pa.decimal128(5, 2), pa.decimal128(38, 10), pa.decimal256(20, 2))),
    *(_decimal(pa.decimal256(*about), is_long=True) for about in ((39, 0), (60, 59), (76, 2))),
    Leaf(pa.null(), lambda _: None, str, None),
)
_LEAF = {leaf.arrow: leaf for leaf in LEAVES}
_KEYS = [
    _LEAF[kind]
    for kind in (
        pa.string(), pa.int64(), pa.binary(), pa.date32(), pa.timestamp("us"),
        pa.timestamp("ns"), pa.timestamp("ns", "UTC"), pa.time64("us"), pa.decimal256(76, 2),
    )
]  # fmt: skip


def any_type(random: Random, depth: int) -> pa.DataType:
    """A type with others inside it, to this depth."""
    kind = random.choice(("list", "struct", "map")) if depth else "leaf"
    if kind == "leaf":
        return random.choice(LEAVES).arrow
    inner = any_type(random, random.randrange(depth))
    if kind == "list":
        return random.choice((pa.list_, pa.large_list))(inner)
    if kind == "map":
        return pa.map_(random.choice(_KEYS).arrow, inner)
    return pa.struct([("a", inner), ("b", random.choice(LEAVES).arrow)])


def any_value(kind: pa.DataType, random: Random) -> Any:
    """A value of a type; about one of five is null."""
    if random.random() < 0.2:
        return None
    if leaf := _LEAF.get(kind):
        return leaf.make(random)
    if pa.types.is_struct(kind):
        return {field.name: any_value(field.type, random) for field in kind}
    if pa.types.is_map(kind):
        key = _LEAF[kind.key_type]
        keys = [key.make(random) for _ in range(random.randrange(4))]
        by_text = {_key_text(key, one): one for one in keys}
        return [(one, any_value(kind.item_type, random)) for one in by_text.values()]
    return [any_value(kind.value_type, random) for _ in range(random.randrange(4))]


def array(kind: pa.DataType, values: list[Any]) -> pa.Array:
    """An array, with texts that are none."""
    made = pa.array(values, _as_bytes(kind))
    options = pc.CastOptions(target_type=kind, allow_invalid_utf8=True)
    return made if made.type == kind else pc.cast(made, options=options)


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _as_bytes(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_as_bytes(kind.key_type), _as_bytes(kind.item_type))
    if pa.types.is_list(kind):
        return pa.list_(_as_bytes(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_as_bytes(kind.value_type))
    return {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}.get(kind, kind)


def has_column(kind: pa.DataType) -> bool:
    """Whether a table gets a column for a type."""
    if leaf := _LEAF.get(kind):
        return leaf.stored is not None
    if pa.types.is_struct(kind):
        return any(has_column(field.type) for field in kind)
    if pa.types.is_map(kind):
        return has_column(kind.key_type) and has_column(kind.item_type)
    return has_column(kind.value_type)


def fits(kind: pa.DataType, value: Any) -> bool:
    """Whether the column of a type holds all of a value."""
    if value is None or not has_column(kind):
        return value is None
    if leaf := _LEAF.get(kind):
        return leaf.fits(value)
    if pa.types.is_struct(kind):
        return all(fits(field.type, value[field.name]) for field in kind)
    if pa.types.is_map(kind):
        return all(fits(kind.key_type, k) and fits(kind.item_type, v) for k, v in value)
    return all(fits(kind.value_type, one) for one in value)


def stored(kind: pa.DataType, value: Any) -> Any:
    """What the column of a type holds of a value, as delta-rs reads it."""
    if value is None:
        return None
    if leaf := _LEAF.get(kind):
        assert leaf.stored
        return leaf.stored(value) if leaf.fits(value) else None
    if pa.types.is_struct(kind):
        held = (field for field in kind if has_column(field.type))
        return {field.name: stored(field.type, value[field.name]) for field in held}
    if pa.types.is_map(kind):
        key = kind.key_type
        return [(stored(key, k), stored(kind.item_type, v)) for k, v in value if fits(key, k)]
    return [stored(kind.value_type, one) for one in value]


def is_shown(kind: pa.DataType, value: Any, told: Any) -> bool:
    """Whether what JSON tells is exactly a value."""
    if value is None or told is None:
        return value is told
    if leaf := _LEAF.get(kind):
        return _is_told(leaf, value, told)
    if pa.types.is_struct(kind):
        there = {field.name for field in kind if value[field.name] is not None}
        return there == set(told) and all(
            is_shown(field.type, value[field.name], told.get(field.name)) for field in kind
        )
    if pa.types.is_map(kind):
        texts = {_key_text(_LEAF[kind.key_type], k): v for k, v in value}
        return set(texts) == set(told) and all(
            is_shown(kind.item_type, texts[key], told[key]) for key in texts
        )
    return len(value) == len(told) and all(
        is_shown(kind.value_type, *pair) for pair in zip(value, told, strict=True)
    )


def _is_told(leaf: Leaf, value: Any, told: Any) -> bool:
    shown = leaf.shown(value)
    if leaf.arrow == pa.float32() and isinstance(told, Decimal):
        return np.float32(float(told)) == value
    if isinstance(shown, float) and isinstance(told, Decimal | int):
        return float(told) == shown and math.copysign(1, float(told)) == math.copysign(1, shown)
    return type(told) is not float and shown == told


def _key_text(leaf: Leaf, value: Any) -> str:
    return str(leaf.shown(value))


def comparable(value: Any) -> Any:
    """A value with floats as texts, so that NaN is itself and -0.0 is not 0.0."""
    if isinstance(value, Mapping):
        return {key: comparable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(one) for one in value]
    return repr(value) if isinstance(value, float) else value
