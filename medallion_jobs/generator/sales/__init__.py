"""The sales feed: orders as JSON lines, with customers and products."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from medallion_jobs.generator.dirt import DUPLICATE, spoil_lines
from medallion_jobs.generator.feed import Dimension, MadeFile
from medallion_jobs.generator.lines import content
from medallion_jobs.generator.plan import Plan
from medallion_jobs.generator.sales.dimensions import customers_table, products_table
from medallion_jobs.generator.sales.dirt import KINDS
from medallion_jobs.generator.sales.lines import clean_lines


class SalesFeed:
    """Sales orders, for conf/sales.yaml."""

    name = "sales"
    tables = ("sales",)
    kinds = (*KINDS, DUPLICATE)

    def make(self, plan: Plan, number: int) -> Sequence[MadeFile]:
        """Makes one file `sales_<uuid>.json`."""
        order, rng = plan.order(number), plan.rng(self.name, number)
        name = f"sales_{UUID(bytes=rng.randbytes(16), version=4)}.json"
        lines = clean_lines(rng, order)
        counts = spoil_lines(lines, rng, order, KINDS)
        made = MadeFile(
            table=self.name,
            name=name,
            content=content(lines),
            counts=counts,
            new_column=order.lines - counts["broken_line"] if order.new_column else 0,
        )
        return (made,)

    def dimensions(self, customers: int) -> Sequence[Dimension]:
        """Customers and products.

        Raises:
            UsageError: fewer than the customers that always exist.
        """
        return (
            Dimension(name="customers", key="customer_id", rows=customers_table(customers)),
            Dimension(name="products", key="product_id", rows=products_table()),
        )
