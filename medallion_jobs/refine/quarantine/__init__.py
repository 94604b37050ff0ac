"""Parked rows: quarantine and hold, from which each row is released exactly once."""

__all__ = ["held_rows", "parked_rows", "redrive", "releases", "replay", "row_format"]
