"""Maintenance of the engine's own tables, without a JVM, and of the lake's tables with Spark."""

__all__ = ["lake", "optimizing", "trash", "upkeep"]
