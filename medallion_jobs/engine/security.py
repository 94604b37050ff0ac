"""How a Spark session is guarded: logins between its processes, secrets kept out of sight.

Whoever reaches a cluster that asks for no secret can run any program on it.
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
# Spark's own daemons take their secret from it, too, so that it stands on no command line.
SECRET_VARIABLE = "_SPARK_AUTH_SECRET"  # noqa: S105

# Spark's own pattern knows the first line only. It is held against the names and the values of
# settings, options and properties, in logs, the UI, the event log and plans.
REDACTED = (
    "(?i)secret|password|token|access[.]?key"
    r"|passwd|credential(?!s[.]provider)|(account|api|private|encryption)[._-]?key|keystore"
    r"|(^|[._-])sas([._-]|$)|connection[._-]?string|webhook|//[^/\s@]*:[^/\s@]+@"
)
# In texts, such as plans: passwords where a URL or a connection string has them. Spark holds it
# against the plan of each query, whether or not anybody looks, at every character: so it looks
# for one character first, and only then at what stands before it.
IN_TEXTS = (
    r"(?i):(?<=://[^/\s@:]{0,99}:)[^/\s@]+(?=@)"
    r"|=(?<=\b(?:passwd|password|accountkey|sharedaccesskey|signature|sig|token)=)[^&;,\s\]\)]+"
)
_FOR_ALL = {
    "spark.redaction.regex": REDACTED,
    "spark.redaction.string.regex": IN_TEXTS,
    # The UI asks for no login. It may be looked at; nothing may be done by it.
    "spark.ui.killEnabled": "false",
    "spark.ui.threadDumpsEnabled": "false",
    "spark.ui.heapHistogramEnabled": "false",
}
_BETWEEN_MACHINES = {
    AUTHENTICATE: "true",
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.saslFallback": "false",
}
# What Spark says when it has given up to ask for a cluster, after a minute.
_UNANSWERED = ("masters are unresponsive", "stopped SparkContext", "stopped while waiting")
# They call a static method of any class of the JVM by its name.
_CALL_ANY_CODE = ("java_method", "reflect", "try_reflect")


def defaults(master: str) -> Mapping[str, str]:
    """What a session has unless its user says otherwise."""
    return {**_FOR_ALL, **({} if master.startswith("local") else _BETWEEN_MACHINES)}


def secret(conf: Mapping[str, str], master: str) -> Mapping[str, str]:
    """The cluster's secret as a setting, where only the environment has it.

    YARN and Kubernetes make one for each application; a standalone cluster has one of its own.

    Raises:
        UsageError: a standalone cluster wants one, and there is none.
    """
    wanted = conf.get(AUTHENTICATE, "false").lower() == "true"
    if not master.startswith("spark://") or not wanted or conf.get(SECRET):
        return {}
    if found := os.environ.get(SECRET_VARIABLE):
        return {SECRET: found}
    raise UsageError(
        f"{master} is a cluster of other machines, and there is no secret to log in to it",
        untouched="nothing was started",
        next_step=f"set {SECRET_VARIABLE} in the environment, or {SECRET} in the config as "
        "${env:NAME} or ${file:PATH}, to the secret that its master and workers were started "
        f"with; if they ask for none and nobody else reaches them, set {AUTHENTICATE}=false",
    )


@contextmanager
def answered(master: str) -> Iterator[None]:
    """Around the start of a session: says what it means when a standalone cluster lets it wait.

    Raises:
        TransientError: the cluster did not answer; one that finds a wrong secret does not either.
    """
    try:
        yield
    except Exception as error:
        if not master.startswith("spark://") or not any(x in str(error) for x in _UNANSWERED):
            raise
        raise TransientError(
            f"{master} did not take this job in: it does not run, or other settings of "
            f"{AUTHENTICATE} and spark.network.crypto, or another secret, were given to it",
            untouched="nothing was started",
            next_step="see whether it runs and what its log says of this try, then run again",
        ) from error


def without_foreign_code(spark: SparkSession) -> None:
    """Takes the functions from a session by which an expression runs any code of the JVM.

    By their names alone they could not be refused: SQL can put a name together.
    """
    jvm: Any = spark._jvm
    registry: Any = spark._jsparkSession.sessionState().functionRegistry()
    schema, catalog = map(jvm.scala.Option.apply, ("builtin", "system"))
    for name in _CALL_ANY_CODE:
        function = jvm.org.apache.spark.sql.catalyst.FunctionIdentifier(name, schema, catalog)
        registry.dropFunction(function)


def quiet_bridge() -> None:
    """Keeps py4j from logging what it hands over, settings and secrets among it."""
    logging.getLogger("py4j").setLevel(logging.INFO)
