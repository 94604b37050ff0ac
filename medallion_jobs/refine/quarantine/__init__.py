"""Parked rows: quarantine and hold, from which each row is released exactly once."""
