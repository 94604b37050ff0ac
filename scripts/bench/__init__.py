"""Benches: the whole pipeline beside its rivals (`run.py`), and parts of it."""
