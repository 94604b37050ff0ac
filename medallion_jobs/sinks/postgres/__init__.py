"""Loads gold tables into PostgreSQL.

A load copies one version of a gold table, in one transaction of the database:

    gold at a version -> rows, or what changed -> staging table -> one transaction

The database records which version it has (`medallion_loads`), so a load that runs again changes
nothing, and an interrupted load leaves no rows.
"""

from medallion_jobs.sinks.postgres.loader import Loader
from medallion_jobs.sinks.postgres.transfer import Loaded, Way

__all__ = ["Loaded", "Loader", "Way"]
