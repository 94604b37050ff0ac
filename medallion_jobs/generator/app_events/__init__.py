"""The feed of application logs: what users did, as JSON lines, delivered at least once."""

from __future__ import annotations

from collections.abc import Sequence

from medallion_jobs.generator.app_events.dirt import KINDS
from medallion_jobs.generator.app_events.lines import delivered
from medallion_jobs.generator.dirt import DUPLICATE, spoil_lines
from medallion_jobs.generator.feed import Dimension, MadeFile
from medallion_jobs.generator.lines import content, file_name
from medallion_jobs.generator.plan import Plan


class AppEventsFeed:
    """Application logs, for conf/app_events.yaml."""

    name = "app_events"
    tables = ("app_logs",)
    kinds = (*KINDS, DUPLICATE)

    def make(self, plan: Plan, number: int) -> Sequence[MadeFile]:
        """Makes one file `app_logs_<number>_<uuid>.json`."""
        [table] = self.tables
        order, rng = plan.order(number), plan.rng(self.name, number)
        name = file_name(table, number, rng)
        lines, repeats = delivered(plan, number)
        counts = spoil_lines(lines, rng, order, KINDS)
        made = MadeFile(
            table=table,
            name=name,
            content=content(lines),
            counts=counts,
            new_column=order.lines - counts["broken_line"] if order.new_column else 0,
            repeats=repeats,
        )
        return (made,)

    def dimensions(self, customers: int) -> Sequence[Dimension]:  # noqa: ARG002
        """None: log lines refer to no dimension."""
        return ()
