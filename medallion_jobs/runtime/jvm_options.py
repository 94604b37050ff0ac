"""The options of a driver's JVM."""

from __future__ import annotations

from collections.abc import Iterable

from medallion_jobs.runtime.class_archive import ClassArchive
from medallion_jobs.runtime.java import find_java

# A run over a few small batches is mostly class loading and compilation.
SHORT_RUN = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
# In another zone, Delta reads the list of a table's files again after each commit, to verify it.
_ZONE = "-Duser.timezone=UTC"


def driver_options(*, short: bool) -> list[str]:
    """The options of a driver on this machine.

    Args:
        short: whether it will end soon.
    """
    return [_ZONE, *(SHORT_RUN if short else ()), *ClassArchive(find_java()).options()]


def as_text(options: Iterable[str]) -> str:
    """Options as the value of `spark.driver.extraJavaOptions`, which Spark splits at spaces."""
    return " ".join(f'"{option}"' if " " in option else option for option in options)
