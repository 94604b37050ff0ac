"""Delta tables: what their log says, and how jobs write them.

`log` needs no JVM. `schema`, which does, is imported by its own name.
"""

from medallion_jobs.tables.log import Added, Commit, Snapshot, commit_of, commits, snapshot
from medallion_jobs.tables.write import (
    Txn,
    append,
    create,
    ensure,
    register,
    replace,
    require,
    rows_written,
)

__all__ = [
    "Added",
    "Commit",
    "Snapshot",
    "Txn",
    "append",
    "commit_of",
    "commits",
    "create",
    "ensure",
    "register",
    "replace",
    "require",
    "rows_written",
    "snapshot",
]
