"""Products and stores, delivered as files.

What sales take from them (a product's name and category) never changes, so it does not matter
when a sale is joined. What does change is a product's list price and a store's manager; only
the newest row of each is kept (SCD1).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from medallion_jobs.generator.lines import hours_of
from medallion_jobs.generator.plan import Plan

# One in this many files has changes, and one in this many repeats a row that was sent before.
_CHANGED_EVERY, _SENT_AGAIN_EVERY = 3, 5
# One in this many products or stores changes in such a file.
_ONE_OF = 4


class Product(NamedTuple):
    """A product and its first list price."""

    id: int
    name: str
    category: str
    list_price: Decimal


class Store(NamedTuple):
    """A store and its first manager."""

    id: str
    name: str
    city: str
    manager: str


PRODUCTS = (
    Product(101, "Thermostat", "Climate", Decimal("129.90")),
    Product(102, "Air Sensor", "Climate", Decimal("79.50")),
    Product(103, "Smart Bulb", "Light", Decimal("14.99")),
    Product(104, "Light Strip", "Light", Decimal("39.00")),
    Product(105, "Dimmer", "Light", Decimal("24.25")),
    Product(106, "Door Lock", "Security", Decimal("189.00")),
    Product(107, "Camera", "Security", Decimal("99.95")),
    Product(108, "Smoke Alarm", "Security", Decimal("34.40")),
)
STORES = (
    Store("store_001", "Harbour", "Bergen", "Ada"),
    Store("store_002", "Station", "Bremen", "Ben"),
    Store("store_003", "Market", "Basel", "Cleo"),
    Store("store_004", "Airport", "Bilbao", "Dan"),
    Store("store_005", "Campus", "Brno", "Elif"),
)


def products(plan: Plan, number: int) -> list[str]:
    """The lines of the products file that comes with file `number`; none when nothing changed."""
    return [
        json.dumps(
            {
                "product_id": product.id,
                "product_name": product.name,
                "category": product.category,
                "list_price": float(product.list_price + changed_by),
                "updated_at": _updated_at(plan, changed_by),
            }
        )
        for product, changed_by in _changes(PRODUCTS, number)
    ]


def stores(plan: Plan, number: int) -> list[str]:
    """The lines of the stores file that comes with file `number`; none when nothing changed."""
    return [
        json.dumps(
            {
                "store_id": store.id,
                "store_name": store.name,
                "city": store.city,
                "manager": f"{store.manager} {changed_by}" if changed_by else store.manager,
                "updated_at": _updated_at(plan, changed_by),
            }
        )
        for store, changed_by in _changes(STORES, number)
    ]


def moment(at: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SSZ`, as in readings and dimensions."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _updated_at(plan: Plan, changed_by: int) -> str:
    """When the state that came with file `changed_by` began; 0: the first state."""
    return moment(hours_of(plan, max(changed_by, 1)) - timedelta(minutes=1 if changed_by else 60))


def _changes(rows: Iterable[Any], number: int) -> list[tuple[Any, int]]:
    """The rows that come with file `number`, each with the number of its state's first file."""
    if number == 1:
        return [(row, 0) for row in rows]
    # Sent again although it is out of date: it must not replace the newer row.
    again = number % _SENT_AGAIN_EVERY == 0
    changed = number % _CHANGED_EVERY == 0
    return [(row, 0) for place, row in enumerate(rows) if again and place == 0] + [
        (row, number)
        for place, row in enumerate(rows, start=1)
        if changed and (place + number // _CHANGED_EVERY) % _ONE_OF == 0
    ]
