"""What jobs emit while they run: events for whoever watches, and a row a batch to keep."""

from medallion_jobs.observe.table import BatchLog

__all__ = ["BatchLog"]
