"""Delta tables: what their log says, and how jobs write them.

`log` needs no JVM. `schema`, which does, is imported by its own name.
"""

from medallion_jobs.tables.log import (
    Added,
    Commit,
    Snapshot,
    commit_of,
    commits,
    has_log_since,
    snapshot,
)
from medallion_jobs.tables.write import (
    Txn,
    append,
    begin_anew,
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
    "begin_anew",
    "commit_of",
    "commits",
    "create",
    "ensure",
    "has_log_since",
    "register",
    "replace",
    "require",
    "rows_written",
    "snapshot",
]
