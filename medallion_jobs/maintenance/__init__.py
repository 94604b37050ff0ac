"""Upkeep: of the engine's own tables with no JVM, and of the lake's by Spark."""
