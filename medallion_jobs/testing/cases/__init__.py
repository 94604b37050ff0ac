"""Cases in YAML: rows that go into a pipeline, and the rows that its tables must then have."""

__all__ = [
    "discovery",
    "files",
    "model",
    "recognition",
    "recorded",
    "report",
    "running",
    "updating",
]
