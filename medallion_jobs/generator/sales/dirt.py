"""The kinds of dirt in sales orders."""

from __future__ import annotations

from datetime import timedelta, timezone
from random import Random

from medallion_jobs.generator.dirt import Spoil, broken_line, with_fields, without_one_of
from medallion_jobs.generator.plan import FileOrder
from medallion_jobs.generator.sales.lines import FIELDS, HOUR_IN_SECONDS, timestamp

DAY_IN_SECONDS = 24 * HOUR_IN_SECONDS
LATE_DAYS = 400
FUTURE_DAYS = 365

# Far above the known ids, so that a lake seeded with more customers than this run asks for
# does not know them either.
UNKNOWN_CUSTOMERS_START = 1_000_000


def _wrong_type(line: str, rng: Random, order: FileOrder) -> str:
    seconds_since_1970 = int(order.now.replace(tzinfo=timezone.utc).timestamp())
    field, value = rng.choice(
        (
            ("quantity", "three"),
            ("quantity", 1.5),
            ("quantity", [2]),
            ("customer_id", "C-7"),
            ("product_id", {"id": 103}),
            ("order_timestamp", "31/12/2025 10:00"),
            ("order_timestamp", seconds_since_1970),
        )
    )
    return with_fields(line, **{field: value})


def _unknown_customer(line: str, rng: Random, order: FileOrder) -> str:
    unknown = order.customers + UNKNOWN_CUSTOMERS_START + rng.randrange(UNKNOWN_CUSTOMERS_START)
    return with_fields(line, customer_id=unknown)


def _late_timestamp(line: str, rng: Random, order: FileOrder) -> str:
    ago = timedelta(seconds=rng.randint(DAY_IN_SECONDS, LATE_DAYS * DAY_IN_SECONDS))
    return with_fields(line, order_timestamp=timestamp(order.now - ago))


def _future_timestamp(line: str, rng: Random, order: FileOrder) -> str:
    ahead = timedelta(seconds=rng.randint(DAY_IN_SECONDS, FUTURE_DAYS * DAY_IN_SECONDS))
    return with_fields(line, order_timestamp=timestamp(order.now + ahead))


KINDS: dict[str, Spoil] = {
    "broken_line": broken_line,
    "wrong_type": _wrong_type,
    "missing_field": without_one_of(FIELDS),
    "unknown_customer": _unknown_customer,
    "late_timestamp": _late_timestamp,
    "future_timestamp": _future_timestamp,
}
"""Each kind of dirt; `duplicate` is added by `spoil_lines`."""
