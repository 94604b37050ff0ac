"""Customers, delivered as files: each change is a row (SCD2).

A change lands with the file of its hour or an earlier one, so that a sale finds the customer's
state at its time. Some customers are late: their first sales come some files before their rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

from medallion_jobs.generator.iot_sales.catalogue import moment
from medallion_jobs.generator.lines import hours_of
from medallion_jobs.generator.plan import Plan

REGIONS = ("North", "South", "East", "West")

FIRST_CUSTOMER = 1001
_FIRST = ("Alice", "Bob", "Charlie", "Diana", "Eve", "Frank", "Grace", "Hank", "Ivy", "Jack")
_LAST = ("Abel", "Brook", "Cole", "Dorn", "Egge", "Falk", "Gray", "Hart", "Iden", "Joss")
_ONE_LATE_OF = 5
_LATE_FROM, _LATE_BY = (1, 2, 3, 4), (1, 2, 3)
_CHANGES_EVERY = (4, 5, 6, 7, 8, 9)
_SENT_AGAIN_EVERY = 7


class Customer(NamedTuple):
    """The properties of a customer that do not change.

    Attributes:
        id: from 1; files have `number` instead.
        buys_from: the file with the first sales.
        lands_in: the file with the first row; later than `buys_from` if the customer is late.
        every: the customer changes in each file after `buys_from` whose number is a multiple
            of this.
        second: the second of the hour in which changes happen.
    """

    id: int
    buys_from: int
    lands_in: int
    every: int
    second: int

    @property
    def number(self) -> int:
        """The id in files."""
        return FIRST_CUSTOMER + self.id - 1


@lru_cache(maxsize=2)
def customers(plan: Plan) -> tuple[Customer, ...]:
    """All of a plan's customers, by id."""
    rng = plan.rng("iot_customers", 0)
    ids = range(1, plan.customers + 1)
    late = set(rng.sample(ids, -(-plan.customers // _ONE_LATE_OF) if plan.customers > 1 else 0))
    found = []
    for customer in ids:
        buys_from = rng.choice(_LATE_FROM) if customer in late else 1
        lands_in = buys_from + rng.choice(_LATE_BY) if customer in late else buys_from
        every, second = rng.choice(_CHANGES_EVERY), rng.randrange(3600)
        found.append(Customer(customer, buys_from, lands_in, every, second))
    return tuple(found)


def changes(plan: Plan, number: int) -> list[str]:
    """The lines of the customers file that comes with file `number`; none when nothing changed."""
    return [
        _row(plan, customer, changed_in)
        for customer in customers(plan)
        for changed_in in _changes(customer, number)
    ]


def _changes(customer: Customer, number: int) -> Iterator[int]:
    """The files in whose hours the changes that land in file `number` happened, in order.

    0 stands for the customer's first row.
    """
    if number < customer.lands_in:
        return
    if number == customer.lands_in or number % _SENT_AGAIN_EVERY == customer.id % _SENT_AGAIN_EVERY:
        yield 0
    since = customer.buys_from + 1 if number == customer.lands_in else number
    for file in range(since, number + 1):
        if file > customer.buys_from and file % customer.every == 0:
            yield file


def _row(plan: Plan, customer: Customer, changed_in: int) -> str:
    """A customer's row. Each change sets another region, each second one also another name."""
    if changed_in:
        at = hours_of(plan, changed_in) + timedelta(seconds=customer.second)
        before = changed_in // customer.every - customer.buys_from // customer.every
    else:
        at, before = hours_of(plan, customer.buys_from) - timedelta(minutes=30), 0
    first = _FIRST[(customer.id - 1) % len(_FIRST)]
    last = _LAST[(customer.id + before // 2) % len(_LAST)]
    return json.dumps(
        {
            "customer_id": customer.number,
            "customer_name": f"{first} {last}",
            "region": REGIONS[(customer.id + before) % len(REGIONS)],
            "updated_at": moment(at),
        }
    )
