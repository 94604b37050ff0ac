"""Strict parsing of text into typed values, and a canonical form of values."""

__all__ = ["canonical", "json_parts", "scalars", "strict", "type_walk"]
