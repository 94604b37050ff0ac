"""Aggregation: measures by group."""

from medallion_jobs.aggregate.measures import by_group, normalised

__all__ = ["by_group", "normalised"]
