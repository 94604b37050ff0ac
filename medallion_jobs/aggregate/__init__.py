"""Aggregation: how the rows of a gold table are computed and written."""

from medallion_jobs.aggregate.aggregation import Aggregation

__all__ = ["Aggregation", "aggregation", "complete", "incremental"]
