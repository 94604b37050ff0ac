"""Moves or deletes files that are loaded, unless another table has yet to read them."""
