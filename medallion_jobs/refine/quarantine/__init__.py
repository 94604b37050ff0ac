"""Rows that do not go on: kept as they were, and taken back exactly once."""
