"""Rebuilds: a table is computed again beside the live one, then swapped in by one commit."""

from medallion_jobs.rebuild.chain import chosen, stale_readers
from medallion_jobs.rebuild.compare import Comparison
from medallion_jobs.rebuild.part import PartRebuild, Wanted, carry_out, identity, refuse_parts
from medallion_jobs.rebuild.plan import Plan, plan_of
from medallion_jobs.rebuild.promote import Promotion
from medallion_jobs.rebuild.rollback import Rollback
from medallion_jobs.rebuild.whole import Rebuild, abandon

__all__ = [
    "Comparison",
    "PartRebuild",
    "Plan",
    "Promotion",
    "Rebuild",
    "Rollback",
    "Wanted",
    "abandon",
    "carry_out",
    "chosen",
    "compare",
    "identity",
    "plan_of",
    "refuse_parts",
    "stale_readers",
]
