"""Sinks: databases that gold tables are loaded into."""

__all__ = ["postgres"]
