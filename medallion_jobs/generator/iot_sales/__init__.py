"""The feed of device sales: readings, and files of their products, stores and customers."""

from __future__ import annotations

from collections.abc import Sequence

from medallion_jobs.generator.dirt import DUPLICATE, spoil_lines
from medallion_jobs.generator.feed import Dimension, MadeFile
from medallion_jobs.generator.iot_sales import catalogue, customers
from medallion_jobs.generator.iot_sales.dirt import KINDS
from medallion_jobs.generator.iot_sales.readings import readings
from medallion_jobs.generator.lines import content, file_name
from medallion_jobs.generator.plan import Plan

READINGS, PRODUCTS, STORES, CUSTOMERS = (
    "iot_sales_raw",
    "iot_products",
    "iot_stores",
    "iot_customers",
)


class IotSalesFeed:
    """Sales that devices report, for conf/iot_sales.yaml."""

    name = "iot_sales"
    tables = (READINGS, PRODUCTS, STORES, CUSTOMERS)
    kinds = (*KINDS, DUPLICATE)

    def make(self, plan: Plan, number: int) -> Sequence[MadeFile]:
        """Makes a file of readings and, before it, files of the dimensions that have changed."""
        changes = {
            PRODUCTS: catalogue.products(plan, number),
            STORES: catalogue.stores(plan, number),
            CUSTOMERS: customers.changes(plan, number),
        }
        made = [
            self._made(plan, number, table, lines, {"clean": len(lines)})
            for table, lines in changes.items()
            if lines
        ]
        order, rng = plan.order(number), plan.rng(self.name, number)
        lines = readings(plan, number, rng)
        counts = spoil_lines(lines, rng, order, KINDS)
        return [*made, self._made(plan, number, READINGS, lines, counts)]

    def dimensions(self, customers: int) -> Sequence[Dimension]:  # noqa: ARG002
        """None: this feed's dimensions land as files."""
        return ()

    def _made(
        self, plan: Plan, number: int, table: str, lines: Sequence[str], counts: dict[str, int]
    ) -> MadeFile:
        has_new = table == READINGS and plan.order(number).new_column
        return MadeFile(
            table=table,
            name=file_name(table, number, plan.rng(table, number)),
            content=content(lines),
            counts=counts,
            new_column=len(lines) - counts["broken_line"] if has_new else 0,
        )
