"""Delta tables: reading their log, and writing them.

`delta_log` needs no JVM. `schema` does, so it is not imported here.
"""

from medallion_jobs.lake.tables.delta_log import (
    Added,
    Commit,
    Snapshot,
    actions,
    commit_of,
    commits,
    entry,
    has_log_since,
    snapshot,
)
from medallion_jobs.lake.tables.engine_table import EngineTable
from medallion_jobs.lake.tables.layout import ensure_layout
from medallion_jobs.lake.tables.merge import (
    SOURCE,
    TARGET,
    Changes,
    changes,
    merge,
    refuse_unmergeable,
    with_conf,
)
from medallion_jobs.lake.tables.optimize import Optimized, files_since, optimize, optimize_if_due
from medallion_jobs.lake.tables.write import (
    Txn,
    append,
    check_schema,
    create,
    recreate,
    register,
    replace,
    replace_where,
    require,
    rows_written,
    set_properties,
    widen,
)

__all__ = [
    "SOURCE",
    "TARGET",
    "Added",
    "Changes",
    "Commit",
    "EngineTable",
    "Optimized",
    "Snapshot",
    "Txn",
    "actions",
    "append",
    "changed_files",
    "changes",
    "check_schema",
    "commit_of",
    "commits",
    "create",
    "ensure_layout",
    "entry",
    "files_since",
    "has_log_since",
    "json_text",
    "layout",
    "literal",
    "merge",
    "metrics_table",
    "observing",
    "optimize",
    "optimize_if_due",
    "recreate",
    "refuse_unmergeable",
    "register",
    "replace",
    "replace_where",
    "require",
    "rows_written",
    "scd_columns",
    "schema",
    "schema_change",
    "set_properties",
    "snapshot",
    "sql",
    "widen",
    "with_conf",
]
