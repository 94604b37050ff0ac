"""Sinks: databases that gold tables are loaded into."""
