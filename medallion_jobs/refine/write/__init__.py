"""How rows are written to a silver table: append, upsert or SCD type 2, and dedupe."""

__all__ = ["modes", "unknown_member"]
