"""Expectations: the rules of a table, and the rows that break them."""

__all__ = ["broken_rules", "rules"]
