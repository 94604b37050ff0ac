"""The kinds of dirt in readings. Files of dimensions are never dirty."""

from __future__ import annotations

import json
from random import Random

from medallion_jobs.generator.dirt import Spoil, broken_line, with_fields, without_one_of
from medallion_jobs.generator.iot_sales.readings import FIELDS
from medallion_jobs.generator.plan import FileOrder

# Far above the known ids, also above those of a run with more customers.
UNKNOWN_CUSTOMERS_START = 2_000_000


def _wrong_type(line: str, rng: Random, order: FileOrder) -> str:  # noqa: ARG001
    field, value = rng.choice(
        (
            ("price", "free"),
            ("price", [2]),
            ("timestamp", "31/12/2025 10:00"),
            ("product_id", {"id": 3}),
            ("customer_id", "C-7"),
        )
    )
    return with_fields(line, **{field: value})


def _unknown_customer(line: str, rng: Random, order: FileOrder) -> str:  # noqa: ARG001
    return with_fields(line, customer_id=UNKNOWN_CUSTOMERS_START + rng.randrange(1_000_000))


def _negative_price(line: str, rng: Random, order: FileOrder) -> str:  # noqa: ARG001
    return with_fields(line, price=-json.loads(line)["price"])


KINDS: dict[str, Spoil] = {
    "broken_line": broken_line,
    "wrong_type": _wrong_type,
    "missing_field": without_one_of(FIELDS),
    "unknown_customer": _unknown_customer,
    "negative_price": _negative_price,
}
"""Each kind of dirt; `duplicate` is added by `spoil_lines`."""
