"""Log lines of application events, as JSON text."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from random import Random
from typing import Any

from medallion_jobs.generator.lines import hours_of
from medallion_jobs.generator.plan import Plan

HOUR_IN_SECONDS = 3600
FEED = "app_events"

_NO_USER = 0.03
_REPEATED_IN_FILE = 0.02
_REPEATED_FROM_FILE_BEFORE = 0.01
_TYPES = ("login", "LOGIN", "Page_View", "page_view", "Purchase", "PURCHASE", "logout", "Logout")
_PAGES = ("/", "/search", "/basket", "/product/101", "/product/107", "/help")
_DEVICES = (("ios", "17.2"), ("android", "14"), ("windows", "11"))
_TAGS = ("beta", "mobile", "returning")
# The first file with a new key of metadata.
_EXPERIMENT_FROM, _MODEL_FROM, _REFERRER_FROM = 3, 5, 8

_EARLIER_BY_AN_HOUR = timezone(timedelta(hours=1))
_FORMS: tuple[Callable[[datetime], str], ...] = (
    lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}",
    lambda moment: f"{moment:%d/%m/%Y %H:%M:%S}",
    lambda moment: moment.astimezone(_EARLIER_BY_AN_HOUR).isoformat(),
)


def delivered(plan: Plan, number: int) -> tuple[list[str], int]:
    """The lines of file `number` as delivered, at least once, and the number of repeats.

    A repeat is an exact copy of a line above it, or of a line in the previous file.
    """
    rng = plan.rng(f"{FEED} repeats", number)
    before = [line for line in _own(plan, number - 1) if line] if number > 1 else []
    lines: list[str] = []
    repeats = 0
    for line in _own(plan, number):
        if line is not None:
            lines.append(line)
            continue
        repeats += 1
        share = _REPEATED_FROM_FILE_BEFORE / (_REPEATED_FROM_FILE_BEFORE + _REPEATED_IN_FILE)
        lines.append(rng.choice(before if before and rng.random() < share else lines))
    return lines, repeats


@lru_cache(maxsize=4)
def _own(plan: Plan, number: int) -> tuple[str | None, ...]:
    """The new lines of file `number`; None in the place of each repeat.

    No two of them have the same user and the same second, within a file or across files.
    """
    order, rng = plan.order(number), plan.rng(f"{FEED} lines", number)
    # At least twice as many pairs of user and second as lines, so that times stay random.
    hours = -(-2 * order.lines // (order.customers * HOUR_IN_SECONDS))
    start = hours_of(plan, number, hours)
    pairs = rng.sample(range(order.customers * hours * HOUR_IN_SECONDS), order.lines)
    lines: list[str | None] = []
    for place, pair in enumerate(pairs):
        if place and rng.random() < _REPEATED_IN_FILE + _REPEATED_FROM_FILE_BEFORE:
            lines.append(None)
            continue
        seconds, user = divmod(pair, order.customers)
        event: dict[str, Any] = {"user_id": f"u{user + 1}"} if rng.random() >= _NO_USER else {}
        if not event and rng.random() < 1 / 2:
            event["user_id"] = None
        event["event_time"] = rng.choice(_FORMS)(start + timedelta(seconds=seconds))
        event["event_type"] = rng.choice(_TYPES)
        if rng.random() >= 1 / 20:
            event["metadata"] = _metadata(rng, number)
        if order.new_column:
            event["app_version"] = rng.choice(("5.0", "5.1"))
        lines.append(json.dumps(event))
    return tuple(lines)


def _metadata(rng: Random, number: int) -> dict[str, Any] | None:
    """An object with varying keys; later files have new ones. Sometimes null."""
    if rng.random() < 1 / 20:
        return None
    found: dict[str, Any] = {}
    if rng.random() < 9 / 10:
        found["page"] = rng.choice(_PAGES)
    if rng.random() < 1 / 2:
        found["duration_ms"] = rng.choice((None, rng.randrange(20_000)))
    if rng.random() < 2 / 3:
        os, version = rng.choice(_DEVICES)
        found["device"] = {"os": os, "version": version}
        if number >= _MODEL_FROM:
            found["device"]["model"] = f"{os}-{rng.randrange(10)}"
    if rng.random() < 1 / 4:
        found["tags"] = rng.choices(_TAGS, k=rng.randrange(3))
    if number >= _EXPERIMENT_FROM and rng.random() < 1 / 3:
        found["experiment"] = {"name": "checkout", "group": rng.choice("AB")}
    if number >= _REFERRER_FROM and rng.random() < 1 / 3:
        found["referrer"] = rng.choice(("search", "mail", None))
    return found
