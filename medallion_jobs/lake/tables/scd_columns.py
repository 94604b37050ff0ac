"""The columns that upsert and scd2 add to a table."""

VALID_FROM, VALID_TO, IS_CURRENT = "valid_from", "valid_to", "is_current"
DELETED = "_deleted"
