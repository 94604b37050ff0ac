"""Expectations: the rules of a table, and the rows that break them."""
