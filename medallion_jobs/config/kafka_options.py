"""Which settings of Kafka's client a config may set.

A config decides what is read, never which code runs: settings that name classes are refused, and
so are those that would make a table depend on who else reads the topic.
"""

from __future__ import annotations

import re

PREFIX = "kafka."
JAAS = "kafka.sasl.jaas.config"
_ALLOWED = re.compile(
    r"security\.protocol"
    r"|sasl\.(mechanism|jaas\.config|kerberos\.(service\.name|min\.time\.before\.relogin))"
    r"|ssl\.(protocol|provider|enabled\.protocols|cipher\.suites|key\.password"
    r"|endpoint\.identification\.algorithm)"
    r"|ssl\.(key|trust)store\.(location|password|type|key|certificates|certificate\.chain)"
    r"|client\.(id|rack|dns\.lookup)|isolation\.level|check\.crcs|metadata\.max\.age\.ms"
    r"|fetch\.(min\.bytes|max\.bytes|max\.wait\.ms)|max\.(partition\.fetch\.bytes|poll\.records)"
    r"|(request|default\.api|session)\.timeout\.ms|connections\.max\.idle\.ms"
    r"|socket\.connection\.setup\.timeout(\.max)?\.ms|(send|receive)\.buffer\.bytes"
    r"|(retry|reconnect)\.backoff(\.max)?\.ms"
)
_ISOLATION = ("read_committed", "read_uncommitted")
# The modules that only look at user and password, or at a ticket.
_LOGIN_MODULES = re.compile(
    r"\s*(org\.apache\.kafka\.common\.security\.(plain\.PlainLoginModule|scram\.ScramLoginModule)"
    r"|com\.sun\.security\.auth\.module\.Krb5LoginModule)\s+required\b[^;]*;\s*"
)


def refusal(key: str, value: object) -> str | None:
    """The reason why a source may not have this option; None if it may. Never holds the value."""
    if not key.startswith(PREFIX):
        return "options of a Kafka source are settings of Kafka's client and start with `kafka.`"
    name = key.removeprefix(PREFIX)
    if name == "bootstrap.servers":
        return "write it as `servers`"
    if not _ALLOWED.fullmatch(name):
        return (
            "not a setting that a config may set: it loads code, is set by Spark, or is unknown; "
            "docs/kafka.md lists those that may be set"
        )
    if name == "isolation.level" and value not in _ISOLATION:
        return f"not a value of this option; allowed: {' or '.join(_ISOLATION)}"
    if key == JAAS and not _LOGIN_MODULES.fullmatch(str(value)):
        return (
            "not a login that a config may use: one of PlainLoginModule, ScramLoginModule and "
            "Krb5LoginModule, with `required` and a `;` at its end"
        )
    return None
