"""Transforms rows of a source into rows of a table: select, parse, cast, compute."""

__all__ = ["functions", "readers", "recipe", "step"]
