"""The keys of a sink: a database that a gold table is loaded into."""

from __future__ import annotations

import hashlib
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
from medallion_jobs.config.secrecy import PLACEHOLDER

# In bytes; PostgreSQL truncates longer names silently.
LONGEST_NAME = 63
# Each table of PostgreSQL has them already.
SYSTEM_COLUMNS = ("cmax", "cmin", "ctid", "tableoid", "xmax", "xmin")
# The table, in each schema that is loaded into, that records the loaded versions.
CONTROL = "medallion_loads"
# A config decides what is loaded, never which code runs: properties that name Java classes are
# not allowed, nor those that a load sets itself.
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
    if "@" in PLACEHOLDER.sub("", url):
        raise refused("a URL must not hold a login: use `user` and `password`")
    if "?" in url:
        raise refused("move what follows `?` to `user`, `password` and `options`")
    return url


def _known(options: dict[str, str]) -> dict[str, str]:
    for name in options:
        if name not in _OPTIONS:
            raise refused(f"{name} is not an allowed property; allowed are {', '.join(_OPTIONS)}")
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


def staging_of(table: str) -> str:
    """The name of the staging table, from which one transaction copies the rows."""
    return _joined(table, "staging")


def index_of(table: str) -> str:
    """The name of the index on the keys; indexes and tables share their names."""
    return _joined(table, "keys")


def _joined(name: str, end: str) -> str:
    """`name__end`; a name that is too long is cut and gets a digest."""
    whole = f"{name}__{end}"
    if len(whole.encode()) <= LONGEST_NAME:
        return whole
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    kept = name.encode()[: LONGEST_NAME - len(end) - 15].decode("utf-8", "ignore")
    return f"{kept}_{digest}__{end}"


class Jdbc(Frozen):
    """A table in a database, loaded by JDBC."""

    name: Identifier = Field(default="warehouse", description="Its name in status and errors.")
    url: Annotated[
        str,
        # A placeholder is left where nothing is loaded: its variable need not be set.
        Field(
            pattern=r"^(jdbc:postgresql:\S+|\$\{(env|file):[^}]+\})$",
            title="a URL such as `jdbc:postgresql://HOST/DB`",
        ),
        AfterValidator(_without_login),
        HIDES,
    ] = Field(description="The database, without a login.")
    user: Annotated[str, HIDES] | None = Field(default=None, description="The user who logs in.")
    password: Annotated[str, HIDES] | None = Field(
        default=None, description="The password, as `${env:NAME}` or `${file:PATH}`."
    )
    schema_: DatabaseName = Field(
        default="public", alias="schema", description="The database schema; it must exist."
    )
    table: DatabaseName | None = Field(
        default=None, description="Name of the database table; unset, the gold table's name."
    )
    new_columns: Literal["add", "fail"] = Field(
        default="add",
        description="What happens to a column that the database table lacks: it is added, or the "
        "load fails.",
    )
    attempts: Count = Field(
        default=5, description="Attempts of a load when the network or the server fails."
    )
    options: Annotated[dict[str, SparkValue], AfterValidator(_known)] = Field(
        default={},
        description="More connection properties, such as sslmode or socketTimeout.",
        title="a mapping of names to values",
    )


class Sink(Frozen):
    """A target that a table is loaded into."""

    jdbc: Jdbc = Field(description="A database, by JDBC.")
