"""One connection of the driver's own, through java.sql."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError

from medallion_jobs.config import Jdbc
from medallion_jobs.errors import UsageError
from medallion_jobs.sinks.postgres.driver import CLASS, driver
from medallion_jobs.sinks.postgres.faults import told_by_java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_READ_COMMITTED = 2  # java.sql.Connection.TRANSACTION_READ_COMMITTED
_DEFAULTS = {
    "ApplicationName": "medallion load",
    # Seconds. Without them, a host that does not answer is waited for as long as TCP likes.
    "connectTimeout": "10",
    "loginTimeout": "30",
    "tcpKeepAlive": "true",
}


def properties(sink: Jdbc) -> Mapping[str, str]:
    """The driver's properties: login included, so never to be shown."""
    login = {"user": sink.user, "password": sink.password}
    return {
        **_DEFAULTS,
        **sink.options,
        **{key: value for key, value in login.items() if value is not None},
    }


def spark_options(sink: Jdbc) -> Mapping[str, str]:
    """The options of Spark's JDBC writer."""
    return {
        **properties(sink),
        "url": sink.url,
        "driver": CLASS,
        "isolationLevel": "READ_COMMITTED",
        "reWriteBatchedInserts": "true",  # many rows a statement: takes a third off
    }


class Connection:
    """A connection and the transaction that it is in.

    Raises:
        DatabaseError: any method, of whatever the driver or the server says.
    """

    def __init__(self, java: Any, secret: str | None) -> None:
        self._java = java
        self._secret = secret

    def execute(self, sql: str, *values: object) -> int:
        """Runs a statement; gives how many rows it wrote."""
        with self._translated():
            statement = self._prepared(sql, values)
            try:
                return 0 if statement.execute() else max(int(statement.getLargeUpdateCount()), 0)
            finally:
                statement.close()

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query of few rows: texts, whole numbers and booleans."""
        with self._translated():
            statement = self._prepared(sql, values)
            try:
                return list(_read(statement.executeQuery()))
            finally:
                statement.close()

    def commit(self) -> None:
        with self._translated():
            self._java.commit()

    def close(self) -> None:
        """Ends it; what was not committed never was."""
        with self._translated():
            self._java.close()

    def _prepared(self, sql: str, values: Sequence[object]) -> Any:
        statement = self._java.prepareStatement(sql)
        for place, value in enumerate(values, start=1):
            statement.setObject(place, value)
        return statement

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Py4JJavaError as error:
            answer = told_by_java(error, self._secret)
            if answer is None:
                raise
            raise answer from None


def _read(result: Any) -> Iterator[tuple[Any, ...]]:
    width = range(1, result.getMetaData().getColumnCount() + 1)
    while result.next():
        yield tuple(result.getObject(place) for place in width)


@contextmanager
def connected(spark: SparkSession, sink: Jdbc) -> Iterator[Connection]:
    """A connection in a transaction, closed at the end; only what was committed stays.

    Raises:
        DatabaseError: the database cannot be reached, or does not let the user in.
        UsageError: the driver does not know what to do with the URL.
    """
    made = driver(spark)
    wanted = _java_properties(spark, properties(sink))
    try:
        java = made.connect(str(sink.url), wanted)
    except Py4JJavaError as error:
        answer = told_by_java(error, sink.password)
        if answer is None:
            raise
        raise answer from None
    if java is None:
        raise UsageError(
            f"{sink.name}: its `url` is none that PostgreSQL's driver can read",
            untouched="nothing was loaded",
            next_step="write it as jdbc:postgresql://HOST:PORT/DATABASE",
        )
    connection = Connection(java, sink.password)
    try:
        java.setAutoCommit(False)
        # Whatever the role's default: rows that Spark's connections commit must be seen.
        java.setTransactionIsolation(_READ_COMMITTED)
        yield connection
    finally:
        connection.close()


def _java_properties(spark: SparkSession, wanted: Mapping[str, str]) -> Any:
    jvm: Any = spark._jvm
    made = jvm.java.util.Properties()
    for key, value in wanted.items():
        made.setProperty(key, str(value))
    return made
