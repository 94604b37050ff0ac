"""A new project: a folder with a config, which is proposed from a sample of files.

No module here imports pyspark, so `medallion init` answers at once.
"""

__all__ = ["folder", "proposal", "tables"]
