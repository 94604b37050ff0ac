"""Audits: compares tables with their sources, at fixed versions, without a lock."""

__all__ = ["check", "gold", "lake", "pairs"]
