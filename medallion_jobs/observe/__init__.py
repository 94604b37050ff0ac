"""Events that jobs emit while they run, and metrics tables with a row for each batch."""

from medallion_jobs.observe.batch_table import BatchTable

__all__ = [
    "BatchTable",
    "batch",
    "batch_table",
    "console",
    "events",
    "rebuild_table",
    "rule_table",
    "set_aside",
]
