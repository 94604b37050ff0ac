"""PostgreSQL's JDBC driver in the running JVM, whoever started it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from py4j.java_gateway import JavaClass, is_instance_of

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.jars import POSTGRESQL, delta_jars

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CLASS = "org.postgresql.Driver"
_TAKES_JARS = "org.apache.spark.util.MutableURLClassLoader"


def driver(spark: SparkSession) -> Any:
    """The driver, as a `java.sql.Driver`; its jar is added if the session lacks it.

    Raises:
        UsageError: the jar cannot be added to this JVM, or has the wrong checksum.
        TransientError: the jar could not be downloaded.
    """
    jvm: Any = spark._jvm
    if not isinstance(jvm.org.postgresql.Driver, JavaClass):
        _add_jar(spark)
    return jvm.org.postgresql.Driver()


def _add_jar(spark: SparkSession) -> None:
    (jar,) = delta_jars((POSTGRESQL,))
    jvm: Any = spark._jvm
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    while loader is not None and not is_instance_of(
        spark.sparkContext._gateway, loader, _TAKES_JARS
    ):
        loader = loader.getParent()
    if loader is None:
        name = f"{POSTGRESQL.group}:{POSTGRESQL.artifact}:{POSTGRESQL.version}"
        raise UsageError(
            f"this JVM has no {CLASS}, and no jar can be added while it runs",
            code="sink_driver_missing",
            untouched="nothing was loaded",
            next_step=f"start Spark with --jars {jar}, or with --packages {name}",
        )
    loader.addURL(jvm.java.io.File(str(jar)).toURI().toURL())
    # For executors in other processes.
    spark.sparkContext._jsc.sc().addJar(str(jar))
