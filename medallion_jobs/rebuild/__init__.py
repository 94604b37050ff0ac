"""Rebuilds: a table is computed again beside the live one, then swapped in by one commit."""

from medallion_jobs.rebuild.chain import chosen, stale_readers
from medallion_jobs.rebuild.plan import Plan, plan_of
from medallion_jobs.rebuild.whole import Rebuild, abandon

__all__ = ["Plan", "Rebuild", "abandon", "chosen", "plan_of", "stale_readers"]
