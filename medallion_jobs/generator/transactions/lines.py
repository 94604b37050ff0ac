"""Transactions as an upstream that nobody minds sends them, as JSON text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from medallion_jobs.generator.plan import FileOrder

HOUR_IN_SECONDS = 3600
DOUBLED_EVERY = 50

_MISSING_IDS = 0.05
_AMOUNTS = (10.5, 20.0, "50.0", -5.0, None)
_FORMS = ("%Y-%m-%dT%H:%M:%SZ", "%d/%m/%Y %H:%M:%S")
_CHANNELS = ("web", "store", "phone")
_DEVICES = (("ios", "17.2"), ("android", "14"))


def events(rng: Random, order: FileOrder) -> list[str]:
    """`order.lines` transactions of the hour before `order.now`, each one JSON object."""
    return [json.dumps(_event(rng, order)) for _ in range(order.lines)]


def with_doubles(lines: Sequence[str]) -> list[str]:
    """The lines, every fiftieth twice."""
    doubled: list[str] = []
    for place, line in enumerate(lines, start=1):
        doubled += [line] * (2 if place % DOUBLED_EVERY == 0 else 1)
    return doubled


def _event(rng: Random, order: FileOrder) -> dict[str, Any]:
    event: dict[str, Any] = {"transaction_id": str(UUID(bytes=rng.randbytes(16), version=4))}
    if rng.random() < _MISSING_IDS:
        event = rng.choice(({}, {"transaction_id": None}))
    event["user_id"] = rng.randrange(order.customers) + 1
    event["amount"] = rng.choice(_AMOUNTS)
    event["timestamp"] = _moment(rng, order.now)
    event["metadata"] = json.dumps(_metadata(rng))
    if order.new_column:
        event["currency"] = rng.choice(("EUR", "USD"))
    return event


def _moment(rng: Random, now: datetime) -> str:
    moment = now - timedelta(seconds=rng.randrange(HOUR_IN_SECONDS))
    return moment.strftime(rng.choice(_FORMS))


def _metadata(rng: Random) -> dict[str, Any]:
    found: dict[str, Any] = {"channel": rng.choice(_CHANNELS), "items": rng.randint(1, 5)}
    if rng.random() < 1 / 4:
        found["coupon"] = rng.choice(("SPRING", 'TEN "OFF"'))
    if rng.random() < 1 / 2:
        os, version = rng.choice(_DEVICES)
        found["device"] = {"os": os, "version": version}
    return found
