"""The customers and products that sales orders refer to."""

from __future__ import annotations

from decimal import Decimal
from itertools import cycle, islice
from typing import NamedTuple

import pyarrow as pa

from medallion_jobs.errors import UsageError

CUSTOMERS = [
    "Alice",
    "Bob",
    "Charlie",
    "Diana",
    "Eve",
    "Frank",
    "Grace",
    "Hank",
    "Ivy",
    "Jack",
    "Kathy",
    "Leo",
    "Mona",
    "Nina",
    "Oscar",
]
REGIONS = ("North", "South", "East", "West")

# The names after the fifteen have their own seed: customer 16 is the same person in every lake,
# whatever the seed of the orders.
_PEOPLE_SEED = 16


class Product(NamedTuple):
    """A product and its price in whole units of currency."""

    id: int
    name: str
    price: int


PRODUCTS = (
    Product(101, "Laptop", 800),
    Product(102, "Mouse", 25),
    Product(103, "Keyboard", 45),
    Product(104, "Monitor", 180),
    Product(105, "Headphones", 60),
    Product(106, "Webcam", 70),
    Product(107, "Printer", 150),
    Product(108, "Tablet", 300),
    Product(109, "Smartphone", 600),
    Product(110, "Speakers", 120),
    Product(111, "Router", 90),
    Product(112, "External Hard Drive", 100),
)


def customers_table(count: int) -> pa.Table:
    """`count` customers: the fifteen named ones, then generated ones; regions in turn.

    Raises:
        UsageError: fewer than the fifteen.
    """
    if count < len(CUSTOMERS):
        raise UsageError(
            f"--customers {count} is too few: the first {len(CUSTOMERS)} always exist",
            code="too_few_customers",
            untouched="nothing was written",
            next_step=f"medallion generate --customers {len(CUSTOMERS)}   (or more)",
        )
    names = CUSTOMERS + _people(count - len(CUSTOMERS))
    return pa.table(
        {
            "customer_id": pa.array(range(1, count + 1), pa.int64()),
            "customer_name": pa.array(names, pa.string()),
            "region": pa.array(islice(cycle(REGIONS), count), pa.string()),
        }
    )


def products_table() -> pa.Table:
    """The twelve products.

    A price is a decimal: sums of money must not depend on the order in which Spark adds them,
    and sums of doubles do.
    """
    return pa.table(
        {
            "product_id": pa.array([product.id for product in PRODUCTS], pa.int64()),
            "product_name": pa.array([product.name for product in PRODUCTS], pa.string()),
            "price": pa.array(
                [Decimal(product.price) for product in PRODUCTS], pa.decimal128(10, 2)
            ),
        }
    )


def _people(count: int) -> list[str]:
    if not count:
        return []
    # The import and setup take half a second, and most runs need only the fifteen.
    from faker import Faker  # noqa: PLC0415

    faker = Faker("en_US")
    faker.seed_instance(_PEOPLE_SEED)
    return [faker.name() for _ in range(count)]
