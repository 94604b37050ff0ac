"""Aggregation: what a gold table is made of, and how it is written."""

from medallion_jobs.aggregate.aggregation import Aggregation
from medallion_jobs.aggregate.text import normalised

__all__ = ["Aggregation", "normalised"]
