"""The columns of bronze tables: declared, inferred, hinted, recorded, and how they grow."""

__all__ = ["columns", "evolution", "hints", "promotion", "registry"]
