"""A config checked by Spark: SQL parses, columns exist, types are as declared."""

from medallion_jobs.validation.pipeline import check

__all__ = ["check"]
