"""What Spark needs beyond pip packages: a Java runtime and Delta's jars.

Uses the standard library only: the set-up runs this before anything is installed.
"""

from medallion_jobs.runtime.jars import delta_jars
from medallion_jobs.runtime.java import Java, find_java

__all__ = [
    "Java",
    "cache",
    "class_archive",
    "delta_jars",
    "find_java",
    "jars",
    "java",
    "jvm_options",
    "locales",
    "submitted",
    "whole_line",
]
