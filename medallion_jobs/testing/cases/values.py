"""Values as YAML has them, and as the column of a table has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    FractionalType,
    IntegerType,
    IntegralType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.config.tree import Node
from medallion_jobs.testing.comparable import comparable

_BITS: dict[type[DataType], int] = {ByteType: 8, ShortType: 16, IntegerType: 32, LongType: 64}
# A sum of floating-point numbers depends on their order in its last digits.
_DIGITS: dict[type[DataType], int] = {DoubleType: 12, FloatType: 6}
_FORMS: tuple[tuple[type[DataType], str], ...] = (
    (IntegralType, "a whole number in its range"),
    (FractionalType, "a number"),
    (BooleanType, "true or false"),
    (DateType, "a date such as 2026-01-31"),
    (TimestampType, "a timestamp such as 2026-01-31T12:00:00Z"),
    (TimestampNTZType, "a timestamp without a time zone, such as 2026-01-31T12:00:00"),
    (StringType, "text, in quotes if it looks like a number"),
    (BinaryType, "text, or bytes as 0x00ff"),
)


class NotOfTypeError(ValueError):
    """A value that a column of a type cannot have.

    Attributes:
        node: the value, which may be inside another one.
    """

    def __init__(self, node: Node, kind: DataType, form: str) -> None:
        super().__init__(f"the column is {kind.simpleString()}: write {form}")
        self.node = node


def typed(node: Node, kind: DataType) -> Any:
    """A value of YAML as one of a column, in the form that Arrow takes.

    Raises:
        NotOfTypeError: the column cannot have it.
    """
    if node.value is None:
        return None
    if isinstance(kind, StructType):
        return _struct(node, kind)
    if isinstance(kind, ArrayType):
        if not isinstance(node.value, list):
            raise NotOfTypeError(node, kind, "a list")
        return [typed(item, kind.elementType) for item in node.value]
    if isinstance(kind, MapType):
        if not isinstance(node.value, dict):
            raise NotOfTypeError(node, kind, "a mapping")
        return [
            (typed(Node(key, item.origin), kind.keyType), typed(item, kind.valueType))
            for key, item in node.value.items()
        ]
    if isinstance(node.value, dict | list):
        raise NotOfTypeError(node, kind, "a single value")
    try:
        return _scalar(node.value, kind)
    except (ValueError, InvalidOperation):
        raise NotOfTypeError(node, kind, _form(kind)) from None


def _struct(node: Node, kind: StructType) -> dict[str, Any]:
    if not isinstance(node.value, dict):
        raise NotOfTypeError(node, kind, "a mapping")
    for name, item in node.value.items():
        if name not in kind.names:
            raise NotOfTypeError(item, kind, f"no field {name}, which it lacks")
    missing = Node(None, node.origin)
    return {
        field.name: typed(node.value.get(field.name, missing), field.dataType) for field in kind
    }


def _scalar(value: str | int | float | bool | None, kind: DataType) -> Any:
    if isinstance(value, bool):
        return _is(value, isinstance(kind, BooleanType))
    if isinstance(value, str):
        return _of_text(value, kind)
    if isinstance(kind, IntegralType):
        return _is(value, isinstance(value, int) and _fits(value, kind))
    if isinstance(kind, DecimalType):
        return _decimal(repr(value), kind)
    if isinstance(kind, FractionalType):
        return float(value or 0)
    raise ValueError


def _of_text(text: str, kind: DataType) -> Any:
    if isinstance(kind, StringType):
        return text
    if isinstance(kind, BinaryType):
        return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()
    if isinstance(kind, DecimalType):
        return _decimal(text, kind)
    if isinstance(kind, DateType):
        return date.fromisoformat(text)
    if isinstance(kind, TimestampType):
        at = moment(text)
        return at.astimezone(timezone.utc) if at.tzinfo else at.replace(tzinfo=timezone.utc)
    if isinstance(kind, TimestampNTZType):
        at = moment(text)
        return _is(at, at.tzinfo is None)
    raise ValueError


def moment(text: str) -> datetime:
    """An ISO timestamp, with a time zone if it names one.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 does not parse the Z


def _decimal(text: str, kind: DecimalType) -> Decimal:
    value = Decimal(text)
    exact = value.quantize(Decimal(1).scaleb(-kind.scale))
    if exact != value or len(exact.as_tuple().digits) > kind.precision:
        raise ValueError
    return exact


def _is(value: Any, right: bool) -> Any:
    if not right:
        raise ValueError
    return value


def _fits(value: int, kind: DataType) -> bool:
    half = 1 << (_BITS[type(kind)] - 1)
    return -half <= value < half


def _form(kind: DataType) -> str:
    if isinstance(kind, DecimalType):
        return f"a number of at most {kind.precision} digits, {kind.scale} after the point"
    other = "another type in `schema`: a case has no values of this one"
    return next((form for kinds, form in _FORMS if isinstance(kind, kinds)), other)


def inferred(nodes: Iterable[Node]) -> DataType:
    """The type that holds all these values: bigint, double, boolean, string, or nested."""
    present = [node.value for node in nodes if node.value is not None]
    if present and all(isinstance(value, dict) for value in present):
        return inferred_columns(value for value in present if isinstance(value, dict))
    if present and all(isinstance(value, list) for value in present):
        return ArrayType(inferred(i for value in present if isinstance(value, list) for i in value))
    kinds = {type(value) for value in present}
    if kinds == {bool}:
        return BooleanType()
    if kinds == {int}:
        return LongType()
    return DoubleType() if kinds and kinds <= {int, float} else StringType()


def inferred_columns(rows: Iterable[Mapping[str, Node]]) -> StructType:
    """The columns of rows, in the order in which they first appear."""
    found: dict[str, list[Node]] = {}
    for row in rows:
        for name, node in row.items():
            found.setdefault(name, []).append(node)
    return StructType([StructField(name, inferred(nodes)) for name, nodes in found.items()])


def rounded(value: Any, kind: DataType) -> Any:
    """The value as `comparable` has it, floating-point numbers without their last digits."""
    if value is None:
        return None
    if isinstance(kind, StructType):
        return tuple(rounded(value.get(field.name), field.dataType) for field in kind)
    if isinstance(kind, ArrayType):
        return tuple(rounded(item, kind.elementType) for item in value)
    if isinstance(kind, MapType):
        return frozenset(
            (rounded(key, kind.keyType), rounded(item, kind.valueType)) for key, item in value
        )
    if digits := _DIGITS.get(type(kind)):
        value = float(f"{value:.{digits}g}")
    return comparable(value, kind)


def plain(value: Any, kind: DataType) -> Any:
    """A value of a table in the form that `typed` takes."""
    if value is None:
        return None
    if isinstance(kind, StructType):
        return {field.name: plain(value.get(field.name), field.dataType) for field in kind}
    if isinstance(kind, ArrayType):
        return [plain(item, kind.elementType) for item in value]
    if isinstance(kind, MapType):
        return {plain(key, kind.keyType): plain(item, kind.valueType) for key, item in value}
    return _plain_scalar(value, kind)


def _plain_scalar(value: Any, kind: DataType) -> Any:
    if isinstance(kind, TimestampType):
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(kind, DateType | TimestampNTZType):
        return value.isoformat()
    if isinstance(kind, DecimalType):
        return f"{value:f}"
    if isinstance(kind, BinaryType):
        return f"0x{value.hex()}"
    if isinstance(kind, FloatType):
        return float(f"{value:.9g}")
    return value
