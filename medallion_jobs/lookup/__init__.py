"""Lookups: columns fetched from dimensions."""

from medallion_jobs.lookup.dimension import Dimension, check_dimension
from medallion_jobs.lookup.join import join_all, misses, remarks, without_misses

__all__ = ["Dimension", "check_dimension", "join_all", "misses", "remarks", "without_misses"]
