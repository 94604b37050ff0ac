"""Auto Loader and medallion pipelines for plain Apache Spark and Delta Lake."""

__version__ = "0.1.0"
