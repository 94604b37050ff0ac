"""The parts of a lake: paths of its tables, how they are written, and the values in them."""

__all__ = ["columns", "hidden_columns", "paths", "tables", "values"]
