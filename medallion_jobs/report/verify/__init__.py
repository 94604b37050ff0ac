"""Audits: compares tables with their sources, at fixed versions, without a lock."""
