"""Readings of sales devices, as JSON text."""

from __future__ import annotations

import json
from datetime import timedelta
from random import Random
from typing import Any

from medallion_jobs.generator.iot_sales.catalogue import PRODUCTS, STORES, moment
from medallion_jobs.generator.iot_sales.customers import customers
from medallion_jobs.generator.lines import hours_of
from medallion_jobs.generator.plan import Plan

FIELDS = ("device_id", "timestamp", "product_id", "price", "store_id", "customer_id")
HOUR_IN_SECONDS = 3600

_DEVICES_A_STORE = 4
# Letters and digits, the same in every run.
_DEVICES = {
    store.id: [f"{'abcde'[place]}{'bcdef'[place]}{'cdefg'[place]}{number}" for number in numbers]
    for place, store in enumerate(STORES)
    for numbers in [range(123, 123 + _DEVICES_A_STORE)]
}


def readings(plan: Plan, number: int, rng: Random) -> list[str]:
    """The lines of file `number`: sales of its own hour, each one JSON object."""
    order = plan.order(number)
    start = hours_of(plan, number)
    buyers = [customer.number for customer in customers(plan) if customer.buys_from <= number]
    lines = []
    for _ in range(order.lines):
        store, product = rng.choice(STORES), rng.choice(PRODUCTS)
        reading: dict[str, Any] = {
            "device_id": rng.choice(_DEVICES[store.id]),
            "timestamp": moment(start + timedelta(seconds=rng.randrange(HOUR_IN_SECONDS))),
            "product_id": product.id,
            # Up to a fifth off the first list price, in cents.
            "price": round(float(product.list_price) * rng.randint(80, 100) / 100, 2),
            "store_id": store.id,
            "customer_id": rng.choice(buyers),
        }
        if order.new_column:
            reading["battery"] = rng.randint(0, 100)
        lines.append(json.dumps(reading))
    return lines
