"""What jobs emit while they run: events for whoever watches, and a row a batch to keep."""

from medallion_jobs.observe.batch_table import BatchTable

__all__ = ["BatchTable"]
