"""The feed of transactions: messy by nature, as JSON lines."""

from __future__ import annotations

from collections.abc import Sequence

from medallion_jobs.generator.dirt import DUPLICATE, spoil_lines
from medallion_jobs.generator.feed import Dimension, MadeFile
from medallion_jobs.generator.lines import content, file_name
from medallion_jobs.generator.plan import Plan
from medallion_jobs.generator.transactions.dirt import KINDS
from medallion_jobs.generator.transactions.lines import events, with_repeats


class TransactionsFeed:
    """Transactions, for conf/transactions.yaml."""

    name = "transactions"
    tables = ("transactions",)
    kinds = (*KINDS, DUPLICATE)

    def make(self, plan: Plan, number: int) -> Sequence[MadeFile]:
        """Makes one file `transactions_<number>_<uuid>.json`; its repeated lines are extra."""
        order, rng = plan.order(number), plan.rng(self.name, number)
        name = file_name(self.name, number, rng)
        lines = with_repeats(events(rng, order))
        total = len(lines)
        counts = spoil_lines(lines, rng, order, KINDS)
        made = MadeFile(
            table=self.name,
            name=name,
            content=content(lines),
            counts=counts,
            new_column=total - counts["broken_line"] if order.new_column else 0,
            repeats=total - order.lines,
        )
        return (made,)

    def dimensions(self, customers: int) -> Sequence[Dimension]:  # noqa: ARG002
        """None: transactions refer to no dimension."""
        return ()
