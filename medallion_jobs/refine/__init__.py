"""The refinery: how one micro-batch becomes rows of a silver table."""

__all__ = [
    "batch",
    "batch_context",
    "expectations",
    "lookup",
    "outcome",
    "quarantine",
    "stopping",
    "target_table",
    "transform",
    "write",
]
