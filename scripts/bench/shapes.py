"""The formats and widths of S7, and files of them."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
_COLUMNS = 200  # of the wide shape
_ORDERS = (
    "order_id string, customer_id bigint, product_id bigint, quantity int,"
    " order_timestamp timestamp"
)


@dataclass(frozen=True)
class Shape:
    """One format with one kind of rows.

    Attributes:
        schema: as Spark reads it, in DDL.
        row: a row of a number.
        part: how many of the rows it has, as a part: wide rows are larger.
    """

    format: str
    schema: str
    row: Callable[[int, random.Random], Row]
    part: float = 1.0
    compressed: bool = False


def order(number: int, chance: random.Random) -> Row:
    """A sale."""
    picked = chance.getrandbits(31)
    return {
        "order_id": f"o-{number:09}",
        "customer_id": 1 + picked % 15,
        "product_id": 101 + picked % 97,
        "quantity": 1 + picked % 9,
        "order_timestamp": f"2026-01-{1 + picked % 28:02} {picked % 24:02}:{picked % 60:02}:00",
    }


def wide(number: int, chance: random.Random) -> Row:
    """Columns of numbers and texts in turn."""
    picked = chance.getrandbits(20)
    values = (number + picked + at if at % 2 else f"text {picked + at}" for at in range(_COLUMNS))
    return {f"c{at:03}": value for at, value in enumerate(values)}


def nested(number: int, chance: random.Random) -> Row:
    """A sale with a struct, and a list of structs."""
    made = order(number, chance)
    lines = [{"sku": f"s-{made['product_id']}", "count": at} for at in range(made["quantity"] % 4)]
    buyer = {"id": made["customer_id"], "address": {"city": "Ulm", "zip": f"{number % 10_000:05}"}}
    return {"order_id": made["order_id"], "buyer": buyer, "lines": lines}


_WIDE = ", ".join(f"c{at:03} {'bigint' if at % 2 else 'string'}" for at in range(_COLUMNS))
_NESTED = (
    "order_id string, buyer struct<id: bigint, address: struct<city: string, zip: string>>,"
    " lines array<struct<sku: string, count: int>>"
)
SHAPES = {
    "json": Shape("json", _ORDERS, order),
    "json, gzip": Shape("json", _ORDERS, order, compressed=True),
    "json, 200 columns": Shape("json", _WIDE, wide, part=0.05),
    "json, nested": Shape("json", _NESTED, nested, part=0.5),
    "csv": Shape("csv", _ORDERS, order),
    "parquet": Shape("parquet", _ORDERS, order),
}


def make(shape: Shape, folder: Path, files: int, rows: int) -> int:
    """Writes the files; gives the number of rows in all."""
    folder.mkdir(parents=True)
    chance = random.Random(7)
    each = max(1, round(rows * shape.part))
    for number in range(files):
        made = [shape.row(number * each + row, chance) for row in range(each)]
        file = folder / f"sales-{number:06}.{shape.format}"
        if shape.format == "parquet":
            _parquet(made, file)
        elif shape.format == "csv":
            lines = [
                ",".join(made[0]),
                *(",".join(str(one) for one in row.values()) for row in made),
            ]
            file.write_text("\n".join(lines) + "\n", encoding="ascii")
        else:
            text = "".join(json.dumps(row) + "\n" for row in made).encode()
            if shape.compressed:
                file = file.with_suffix(".json.gz")
                text = gzip.compress(text, 6)
            file.write_bytes(text)
    return files * each


def _parquet(rows: list[Row], file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = pa.Table.from_pylist(rows)
    at = made.schema.get_field_index("order_timestamp")
    texts = made["order_timestamp"].cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    made = made.set_column(at, "order_timestamp", texts)
    at = made.schema.get_field_index("quantity")
    pq.write_table(made.set_column(at, "quantity", made["quantity"].cast(pa.int32())), file)
