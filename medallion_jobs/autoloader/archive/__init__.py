"""Moves or deletes files that are loaded, unless another table has yet to read them."""

__all__ = ["file_location", "neighbours", "registrations"]
