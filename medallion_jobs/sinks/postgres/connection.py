"""A connection of the Spark driver to the database, through java.sql."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError

from medallion_jobs.config import Jdbc
from medallion_jobs.errors import UsageError
from medallion_jobs.sinks.postgres.driver import CLASS, driver
from medallion_jobs.sinks.postgres.faults import database_error

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_READ_COMMITTED = 2  # java.sql.Connection.TRANSACTION_READ_COMMITTED
_DEFAULTS = {
    "ApplicationName": "medallion load",
    # Seconds. Without them, the wait for a host that does not answer can take minutes.
    "connectTimeout": "10",
    "loginTimeout": "30",
    "tcpKeepAlive": "true",
}


def properties(sink: Jdbc) -> Mapping[str, str]:
    """The driver's properties, with the login: never log or show them."""
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
        "reWriteBatchedInserts": "true",  # many rows in one statement: a third faster
    }


class Connection:
    """A connection and its current transaction.

    Raises:
        DatabaseError: any method, for any error of the driver or the server.
    """

    def __init__(self, java: Any, secret: str | None) -> None:
        self._java = java
        self._secret = secret

    def execute(self, sql: str, *values: object) -> int:
        """Runs a statement.

        Returns:
            How many rows it wrote.
        """
        with self._translated():
            statement = self._prepared(sql, values)
            try:
                return 0 if statement.execute() else max(int(statement.getLargeUpdateCount()), 0)
            finally:
                statement.close()

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query: few rows, of texts, integers and booleans."""
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
        """Closes the connection and rolls back what was not committed."""
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
            translated = database_error(error, self._secret)
            if translated is None:
                raise
            raise translated from None


def _read(result: Any) -> Iterator[tuple[Any, ...]]:
    width = range(1, result.getMetaData().getColumnCount() + 1)
    while result.next():
        yield tuple(result.getObject(place) for place in width)


@contextmanager
def connected(spark: SparkSession, sink: Jdbc) -> Iterator[Connection]:
    """A connection in a transaction, closed at the end; only committed work stays.

    Raises:
        DatabaseError: the database cannot be reached, or refuses the login.
        UsageError: the driver does not accept the URL.
    """
    jdbc_driver = driver(spark)
    java_properties = _java_properties(spark, properties(sink))
    try:
        java = jdbc_driver.connect(str(sink.url), java_properties)
    except Py4JJavaError as error:
        translated = database_error(error, sink.password)
        if translated is None:
            raise
        raise translated from None
    if java is None:
        raise UsageError(
            f"{sink.name}: PostgreSQL's driver cannot read its `url`",
            code="sink_url_invalid",
            untouched="nothing was loaded",
            next_step="write it as jdbc:postgresql://HOST:PORT/DATABASE",
        )
    connection = Connection(java, sink.password)
    try:
        java.setAutoCommit(False)
        # Whatever the role's default: this must see rows that Spark's connections commit.
        java.setTransactionIsolation(_READ_COMMITTED)
        yield connection
    finally:
        connection.close()


def _java_properties(spark: SparkSession, values: Mapping[str, str]) -> Any:
    jvm: Any = spark._jvm
    result = jvm.java.util.Properties()
    for key, value in values.items():
        result.setProperty(key, str(value))
    return result
