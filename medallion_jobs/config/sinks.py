"""Databases that a gold table is loaded into."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from medallion_jobs.config.fields import (
    HIDES,
    IDENTIFIER_ALLOWED,
    Count,
    Identifier,
    SparkValue,
    refused,
)
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.names import IDENTIFIER_PATTERN

# PostgreSQL cuts off longer names without a word.
LONGEST_NAME = 63
# A config decides what is loaded, never which code runs: the driver's properties that name
# classes are not among them, nor those that a load sets itself.
_OPTIONS = (
    "ApplicationName",
    "applicationNameCheck",
    "cancelSignalTimeout",
    "channelBinding",
    "connectTimeout",
    "gssEncMode",
    "hostRecheckSeconds",
    "loadBalanceHosts",
    "loginTimeout",
    "prepareThreshold",
    "socketTimeout",
    "sslNegotiation",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslpassword",
    "sslrootcert",
    "targetServerType",
    "tcpKeepAlive",
)


def _without_login(url: str) -> str:
    if "@" in url:
        raise refused("a URL holds no login: give `user` and `password`")
    if "?" in url:
        raise refused("give what stands after `?` as `user`, `password` and `options`")
    return url


def _known(options: dict[str, str]) -> dict[str, str]:
    for name in options:
        if name not in _OPTIONS:
            raise refused(f"{name} is no property that may be set; there are {', '.join(_OPTIONS)}")
    return options


DatabaseName = Annotated[
    str,
    Field(
        pattern=IDENTIFIER_PATTERN,
        max_length=LONGEST_NAME,
        title=IDENTIFIER_ALLOWED.replace("64", str(LONGEST_NAME)),
    ),
    HIDES,
]


class Jdbc(Frozen):
    """A table of a database, reached by JDBC."""

    name: Identifier = Field(default="warehouse", description="What status and errors call it.")
    url: Annotated[
        str,
        Field(pattern=r"^jdbc:postgresql:\S+$", title="a URL such as `jdbc:postgresql://HOST/DB`"),
        AfterValidator(_without_login),
        HIDES,
    ] = Field(description="The database, without a login.")
    user: Annotated[str, HIDES] | None = Field(default=None, description="Who logs in.")
    password: Annotated[str, HIDES] | None = Field(
        default=None, description="Her password, as `${env:NAME}` or `${file:PATH}`."
    )
    schema_: DatabaseName = Field(
        default="public", alias="schema", description="The database's schema; it has to be there."
    )
    table: DatabaseName | None = Field(
        default=None, description="The table there; unset, the gold table's name."
    )
    new_columns: Literal["add", "fail"] = Field(
        default="add", description="What a column does that the table there lacks."
    )
    attempts: Count = Field(
        default=5, description="How often a load is tried when the network or the server fails."
    )
    options: Annotated[dict[str, SparkValue], AfterValidator(_known)] = Field(
        default={},
        description="Further properties of the connection, such as sslmode or socketTimeout.",
        title="a mapping of names to values",
    )


class Sink(Frozen):
    """Where a table is loaded into."""

    jdbc: Jdbc = Field(description="A database, by JDBC.")
