"""One batch: its files become rows and quarantined records, and both are counted."""

__all__ = ["account", "sinks"]
