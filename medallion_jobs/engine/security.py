"""Security of a Spark session: authentication between its processes, redaction of secrets.

On a cluster without authentication, anybody who can reach it can run any program.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from medallion_jobs.errors import TransientError, UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AUTHENTICATE = "spark.authenticate"
SECRET = "spark.authenticate.secret"  # noqa: S105 (the name of a key)
# Spark's own daemons also read their secret from it, so that it is on no command line.
SECRET_VARIABLE = "_SPARK_AUTH_SECRET"  # noqa: S105

# Spark's own pattern is only the first line. Spark matches it with the names and values of
# settings, options and properties, in logs, the UI, the event log and plans.
REDACTED = (
    "(?i)secret|password|token|access[.]?key"
    r"|passwd|credential(?!s[.]provider)|(account|api|private|encryption)[._-]?key|keystore|[._]jaas[._]"
    r"|(^|[._-])sas([._-]|$)|connection[._-]?string|webhook|//[^/\s@]*:[^/\s@]+@"
)
# In texts such as plans: passwords in URLs and connection strings. Spark matches it at every
# character of every query's plan, so for speed it looks for one character first, and only then
# at the text before it.
IN_TEXTS = (
    r"(?i):(?<=://[^/\s@:]{0,99}:)[^/\s@]+(?=@)"
    r"|=(?<=\b(?:passwd|password|accountkey|sharedaccesskey|signature|sig|token)=)[^&;,\s\]\)]+"
)
_FOR_ALL = {
    "spark.redaction.regex": REDACTED,
    "spark.redaction.string.regex": IN_TEXTS,
    # The UI has no login: users may read it, but must not be able to do anything with it.
    "spark.ui.killEnabled": "false",
    "spark.ui.threadDumpsEnabled": "false",
    "spark.ui.heapHistogramEnabled": "false",
}
_BETWEEN_MACHINES = {
    AUTHENTICATE: "true",
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.saslFallback": "false",
}
# Parts of Spark's messages after it has waited a minute for a cluster and given up.
_UNANSWERED = ("masters are unresponsive", "stopped SparkContext", "stopped while waiting")
# These functions call static methods of any Java class by name.
_CALL_ANY_CODE = ("java_method", "reflect", "try_reflect")


def defaults(master: str) -> Mapping[str, str]:
    """Default settings of a session, which the user may override."""
    return {**_FOR_ALL, **({} if master.startswith("local") else _BETWEEN_MACHINES)}


def secret(conf: Mapping[str, str], master: str) -> Mapping[str, str]:
    """The cluster's secret as a setting, if only the environment has it; else empty.

    YARN and Kubernetes create a secret for each application; a standalone cluster has its own.

    Raises:
        UsageError: a standalone cluster needs a secret, and there is none.
    """
    wanted = conf.get(AUTHENTICATE, "false").lower() == "true"
    if not master.startswith("spark://") or not wanted or conf.get(SECRET):
        return {}
    if found := os.environ.get(SECRET_VARIABLE):
        return {SECRET: found}
    raise UsageError(
        f"{master} is a remote cluster, and there is no secret to log in to it",
        code="cluster_needs_secret",
        untouched="nothing was started",
        next_step=f"set {SECRET_VARIABLE} in the environment, or {SECRET} in the config as "
        "${env:NAME} or ${file:PATH}, to the secret of its master and workers; if they have "
        f"none and nobody else can reach them, set {AUTHENTICATE}=false",
    )


@contextmanager
def answered(master: str) -> Iterator[None]:
    """Wraps the start of a session, to explain why a standalone cluster does not answer.

    Raises:
        TransientError: the cluster did not answer; it does not answer a wrong secret either.
    """
    try:
        yield
    except Exception as error:
        if not master.startswith("spark://") or not any(x in str(error) for x in _UNANSWERED):
            raise
        raise TransientError(
            f"{master} did not accept this job: it is not running, or it has other settings of "
            f"{AUTHENTICATE} and spark.network.crypto, or another secret",
            code="cluster_refused_job",
            untouched="nothing was started",
            next_step="check that it runs and what its log says, then run again",
        ) from error


def without_foreign_code(spark: SparkSession) -> None:
    """Removes the SQL functions of a session that can run any Java code.

    Refusing them by name in SQL text is not enough: SQL can compose a name.
    """
    jvm: Any = spark._jvm
    registry: Any = spark._jsparkSession.sessionState().functionRegistry()
    schema, catalog = map(jvm.scala.Option.apply, ("builtin", "system"))
    for name in _CALL_ANY_CODE:
        function = jvm.org.apache.spark.sql.catalyst.FunctionIdentifier(name, schema, catalog)
        registry.dropFunction(function)


def quiet_bridge() -> None:
    """Stops py4j from logging the values it transfers, which include settings and secrets."""
    logging.getLogger("py4j").setLevel(logging.INFO)


def quiet_errors() -> None:
    """Stops pyspark from logging each wrong expression as JSON with its stack trace.

    That is 10 kB for each. The error itself is raised, and the package says it in its own words.
    """
    from pyspark.logger import PySparkLogger  # noqa: PLC0415 (as in `session.build`)

    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        # Made by pyspark, as it must be of pyspark's own class.
        PySparkLogger.getLogger(name).disabled = True
