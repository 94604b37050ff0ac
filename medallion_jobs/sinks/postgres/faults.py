"""What a database says no with: what is worth another try, and what a person has to mend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from medallion_jobs.errors import DataError, MedallionError, TransientError, UsageError

# SQLSTATEs, or how they begin (PostgreSQL's manual, "Error Codes"). The first that fits
# decides; what fits none is worth no other try.
_LOGIN = ("08004", "28")
_RIGHTS = ("42501", "25006")
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
    """What errors call the table and where it goes."""

    table: str
    sink: str
    target: str

    def __str__(self) -> str:
        return f"{self.table}: {self.sink} ({self.target})"


class DatabaseError(Exception):
    """What the driver or the server answered.

    Attributes:
        state: the SQLSTATE; empty where there is none.
        said: its message, in one line, without a password.
    """

    def __init__(self, state: str, said: str) -> None:
        super().__init__(f"{said} (SQLSTATE {state or 'unknown'})")
        self.state = state
        self.said = said

    @property
    def is_passing(self) -> bool:
        """Whether the same may well work in a moment."""
        return self.state.startswith(_PASSING) and not self.state.startswith(_LOGIN)

    @property
    def is_about_nul(self) -> bool:
        """Whether a text was refused for a character that PostgreSQL does not store."""
        return self.state in _NUL


def told_by_java(error: BaseException, secret: str | None) -> DatabaseError | None:
    """The database's answer in an error of py4j or pyspark; None where there is none."""
    java = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    # The last of a chain is the cause; a batch says only "Call getNextException".
    found = [one for one in _chain(java) if _is_sql(one)]
    if not found:
        return None
    state = next((one.getSQLState() for one in reversed(found) if one.getSQLState()), "")
    said = " ".join(str(found[-1].getMessage()).split())
    return DatabaseError(str(state), said.replace(secret, "***") if secret else said)


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
    """The error to show for what the database said no with."""
    untouched = "the gold table, and the database's, which is as the last load left it"
    again = f"medallion load {place.table}"
    state = error.state
    if state.startswith(_LOGIN):
        return UsageError(
            f"{place}: the login was refused: {error.said}",
            untouched=untouched,
            next_step=f"mend `user`, `password` or `options` of the sink; then {again}",
        )
    if state in _NO_SUCH:
        return UsageError(
            f"{place}: {error.said}",
            untouched=untouched,
            next_step=f"make it, or mend `url` or `schema` of the sink; then {again}",
        )
    if state in _RIGHTS:
        return UsageError(
            f"{place}: the sink's user may not do it: {error.said}",
            untouched=untouched,
            next_step=f"grant it what docs/warehouse.md lists; then {again}",
        )
    if error.is_passing:
        tries = f"{attempts} attempts" if attempts > 1 else "one attempt"
        return TransientError(
            f"{place}: not loaded after {tries}: {error}",
            untouched=untouched,
            next_step=f"see to the database and the way to it; then {again}, or run again",
        )
    if state.startswith(("0A", "2B", "42")):
        return UsageError(
            f"{place}: {error}",
            untouched=untouched,
            next_step=f"mend what it names in the database; then {again}",
        )
    return DataError(
        f"{place}: the rows were refused: {error}",
        untouched=untouched,
        next_step=f"mend what it names; then {again}",
    )
