"""Strict parsing of text into typed values, and a canonical form of values."""
