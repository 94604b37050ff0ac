"""Transactions as a careless upstream sends them, as JSON text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

from medallion_jobs.generator.plan import FileOrder

HOUR_IN_SECONDS = 3600
DOUBLED_EVERY = 50
FIRST_USER = 100

_MISSING_IDS = 0.05
_AMOUNTS = (10.5, 20.0, "50.0", -5.0, None)
# In turn, and without a time zone.
_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")
_SOURCES = ("mobile", "mobile", "web", "store")
_COUPONS = ("SPRING", 'TEN "OFF"')
_DEVICES = (("ios", "17.2"), ("android", "14"))


def events(rng: Random, order: FileOrder) -> list[str]:
    """`order.lines` transactions of the hour before `order.now`, each one JSON object."""
    return [json.dumps(_event(rng, order, place)) for place in range(order.lines)]


def with_repeats(lines: Sequence[str]) -> list[str]:
    """The lines, with the first one and every fiftieth one after it twice."""
    repeated: list[str] = []
    for place, line in enumerate(lines):
        repeated += [line] * (2 if place % DOUBLED_EVERY == 0 else 1)
    return repeated


def _event(rng: Random, order: FileOrder, place: int) -> dict[str, Any]:
    number = (order.number - 1) * order.lines + place
    moment = order.now - timedelta(seconds=rng.randrange(HOUR_IN_SECONDS))
    event: dict[str, Any] = {
        "transaction_id": None if rng.random() < _MISSING_IDS else str(number),
        "user_id": FIRST_USER + rng.randrange(order.customers),
        "amount": rng.choice(_AMOUNTS),
        "timestamp": moment.strftime(_FORMS[place % 2]),
        "raw_metadata": json.dumps(_metadata(rng)),
    }
    if order.new_column:
        event["currency"] = rng.choice(("EUR", "USD"))
    return event


def _metadata(rng: Random) -> dict[str, Any]:
    """Always a source; sometimes keys that no schema declares."""
    found: dict[str, Any] = {"source": rng.choice(_SOURCES)}
    if rng.random() < 1 / 8:
        found["coupon"] = rng.choice(_COUPONS)
    if rng.random() < 1 / 8:
        os, version = rng.choice(_DEVICES)
        found["device"] = {"os": os, "version": version}
    return found
