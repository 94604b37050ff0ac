"""What people read: status, files and query, with no JVM."""

__all__ = [
    "arrow",
    "atomic_file",
    "check",
    "doctor",
    "drawing",
    "files",
    "formats",
    "graph",
    "graph_facts",
    "lake_views",
    "quality",
    "quarantine",
    "query",
    "rebuild_cost",
    "runs",
    "saved_queries",
    "status",
    "time_travel",
    "verify",
]
