"""The options of a driver's JVM."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from medallion_jobs.runtime.class_archive import ClassArchive
from medallion_jobs.runtime.java import find_java

# A run over a few small batches is mostly class loading and compilation.
QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
_SMALL_COLLECTOR = "-XX:+UseSerialGC"
_OTHER_COLLECTOR = re.compile(r"-XX:\+Use\w+GC")
_READ_BY_JAVA = ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS")
# In another zone, Delta reads the list of a table's files again after each commit, to verify it.
_ZONE = "-Duser.timezone=UTC"


def driver_options(*, short: bool) -> list[str]:
    """The options of a driver on this machine.

    Args:
        short: whether it will end soon.
    """
    return [_ZONE, *(_short_run() if short else ()), *ClassArchive(find_java()).options()]


def _short_run() -> list[str]:
    # A JVM with two collectors does not start.
    chosen = any(_OTHER_COLLECTOR.search(os.environ.get(name, "")) for name in _READ_BY_JAVA)
    return [QUICK_COMPILER, *(() if chosen else (_SMALL_COLLECTOR,))]


def as_text(options: Iterable[str]) -> str:
    """Options as the value of `spark.driver.extraJavaOptions`, which Spark splits at spaces."""
    return " ".join(f'"{option}"' if " " in option else option for option in options)
