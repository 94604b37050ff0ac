"""Upkeep of the engine's own tables, the ledgers and the metrics, with no JVM."""
