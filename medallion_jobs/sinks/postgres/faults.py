"""Errors of a database: which are worth a retry, and what you have to fix for the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from medallion_jobs.errors import DataError, MedallionError, TransientError, UsageError

# SQLSTATEs or their prefixes (PostgreSQL's manual, "Error Codes"). The first match decides;
# errors without a match are not retried.
_LOGIN = ("08004", "28")
_PRIVILEGES = ("42501", "25006")
_PASSING = (
    "08",  # the connection
    "40001",  # serialization
    "40P01",  # deadlock
    "53",  # out of disk, memory or connections
    "55P03",  # a lock that somebody else holds
    "57",  # shut down, starting, cancelled
    "58",  # the server's own I/O
    "25P03",  # idle in transaction for too long
    "25P02",  # what follows an error of the same transaction
)
_NO_SUCH = ("3D000", "3F000")
_NUL = ("22021", "22P05")


@dataclass(frozen=True)
class Place:
    """The gold table, the sink and the table in the database, as errors name them."""

    table: str
    sink: str
    target: str

    def __str__(self) -> str:
        return f"{self.table}: {self.sink} ({self.target})"


class DatabaseError(Exception):
    """An error of the driver or the server.

    Attributes:
        state: the SQLSTATE; empty if there is none.
        message: its message, in one line, without a password.
    """

    def __init__(self, state: str, message: str) -> None:
        super().__init__(f"{message} (SQLSTATE {state or 'unknown'})")
        self.state = state
        self.message = message

    @property
    def is_passing(self) -> bool:
        """Whether a retry may succeed."""
        return self.state.startswith(_PASSING) and not self.state.startswith(_LOGIN)

    @property
    def is_about_nul(self) -> bool:
        """Whether a text was refused because of a NUL character."""
        return self.state in _NUL


def database_error(error: BaseException, secret: str | None) -> DatabaseError | None:
    """The database's error inside an error of py4j or pyspark; None if there is none.

    Args:
        secret: the password, which is masked in the message.
    """
    java = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    # The last of a chain is the cause; a batch says only "Call getNextException".
    found = [exception for exception in _chain(java) if _is_sql(exception)]
    if not found:
        return None
    states = [exception.getSQLState() for exception in reversed(found)]
    state = next((state for state in states if state), "")
    message = " ".join(str(found[-1].getMessage()).split())
    return DatabaseError(str(state), message.replace(secret, "***") if secret else message)


def _chain(java: Any) -> Iterator[Any]:
    while java is not None:
        yield java
        following = java.getNextException() if _is_sql(java) else None
        java = following or java.getCause()


def _is_sql(java: Any) -> bool:
    kind = java.getClass()
    while kind is not None:
        if kind.getName() == "java.sql.SQLException":
            return True
        kind = kind.getSuperclass()
    return False


def explained(error: DatabaseError, place: Place, attempts: int) -> MedallionError:
    """The error to show for an error of the database."""
    untouched = "the gold table, and the database's, which is as the last load left it"
    retry = f"medallion load {place.table}"
    state = error.state
    if state.startswith(_LOGIN):
        return UsageError(
            f"{place}: the login was refused: {error.message}",
            code="sink_login_refused",
            untouched=untouched,
            next_step=f"fix `user`, `password` or `options` of the sink; then {retry}",
        )
    if state in _NO_SUCH:
        return UsageError(
            f"{place}: {error.message}",
            code="sink_not_found",
            untouched=untouched,
            next_step=f"create it, or fix `url` or `schema` of the sink; then {retry}",
        )
    if state in _PRIVILEGES:
        return UsageError(
            f"{place}: the sink's user lacks privileges: {error.message}",
            code="sink_privileges_missing",
            untouched=untouched,
            next_step=f"grant what docs/warehouse.md lists; then {retry}",
        )
    if error.is_passing:
        tries = f"{attempts} attempts" if attempts > 1 else "one attempt"
        return TransientError(
            f"{place}: not loaded after {tries}: {error}",
            code="sink_not_reachable",
            untouched=untouched,
            next_step=f"check the database and the network; then {retry}, or run again",
        )
    if state.startswith(("0A", "2B", "42")):
        return UsageError(
            f"{place}: {error}",
            code="sink_failed",
            untouched=untouched,
            next_step=f"fix what it names in the database; then {retry}",
        )
    return DataError(
        f"{place}: the rows were refused: {error}",
        code="sink_rows_refused",
        untouched=untouched,
        next_step=f"fix what it names; then {retry}",
    )
