"""Gold tables loaded into databases: PostgreSQL, standing for its kin.

A load brings one version of a gold table over, in one transaction of the database:

    gold at a version -> rows, or what changed -> staging table -> one transaction

The database remembers which version it has (`medallion_loads`), so a load that is repeated
changes nothing, and one that was cut off was never there.
"""

from medallion_jobs.sinks.postgres.loader import Loader
from medallion_jobs.sinks.postgres.transfer import Loaded, Way

__all__ = ["Loaded", "Loader", "Way"]
