"""Columns that keyed ways of writing add to a table, known to whoever reads such a table."""

VALID_FROM, VALID_TO, IS_CURRENT = "valid_from", "valid_to", "is_current"
DELETED = "_deleted"
