"""Clean sales orders, as JSON text.

They are made from random bytes in bulk and from prepared strings: `json.dumps` and `uuid4` for
each order would take several times as long.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from random import Random

from medallion_jobs.generator.plan import FileOrder
from medallion_jobs.generator.sales.dimensions import PRODUCTS

FIELDS = ("order_id", "customer_id", "product_id", "quantity", "order_timestamp")
HOUR_IN_SECONDS = 3600

_UUID_HEX_DIGITS = 32
_UUID_VARIANTS = "89ab"
_QUANTITIES = ("1", "2", "3", "4", "5")
_CHANNELS = (', "channel": "web"}', ', "channel": "store"}', ', "channel": "phone"}')


def timestamp(moment: datetime) -> str:
    """`YYYY-MM-DD HH:MM:SS`, as in orders."""
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")


@lru_cache(maxsize=2)
def _hour_before(now: datetime) -> tuple[str, ...]:
    """Each second of the hour before `now`; the files of a run mostly share it."""
    return tuple(timestamp(now - timedelta(seconds=ago)) for ago in range(HOUR_IN_SECONDS))


@lru_cache(maxsize=2)
def _customer_ids(customers: int) -> tuple[str, ...]:
    return tuple(str(customer) for customer in range(1, customers + 1))


def clean_lines(rng: Random, order: FileOrder) -> list[str]:
    """`order.lines` orders, each one JSON object on one line, without the newline."""
    count = order.lines
    digits = rng.randbytes(count * _UUID_HEX_DIGITS // 2).hex()
    columns = zip(
        range(0, count * _UUID_HEX_DIGITS, _UUID_HEX_DIGITS),
        rng.choices(_UUID_VARIANTS, k=count),
        rng.choices(_customer_ids(order.customers), k=count),
        rng.choices(tuple(str(product.id) for product in PRODUCTS), k=count),
        rng.choices(_QUANTITIES, k=count),
        rng.choices(_hour_before(order.now), k=count),
        rng.choices(_CHANNELS, k=count) if order.new_column else ("}",) * count,
        strict=True,
    )
    return [
        f'{{"order_id": "{digits[i : i + 8]}-{digits[i + 8 : i + 12]}-4{digits[i + 13 : i + 16]}'
        f"-{variant}{digits[i + 17 : i + 20]}-{digits[i + 20 : i + 32]}"
        f'", "customer_id": {customer}, "product_id": {product}, "quantity": {quantity}'
        f', "order_timestamp": "{moment}"{end}'
        for i, variant, customer, product, quantity, moment, end in columns
    ]
