"""Which Spark settings a config may set.

A config decides what is computed, never which code runs: keys that load classes or pass
JVM options are refused, and so are those that would let Spark lose or change data silently.
"""

from __future__ import annotations

import re

ALLOWED = (
    "spark.sql.*, spark.databricks.delta.*, spark.executor.*, spark.driver.memory*, "
    "spark.hadoop.fs.s3a.*, spark.kubernetes.*, spark.yarn.*, and for logins and encryption: "
    "spark.authenticate, spark.authenticate.secret, spark.network.crypto.*, spark.io.encryption.*"
)
_ALLOWED = re.compile(
    r"spark\.(sql|databricks\.delta|executor|hadoop\.fs\.s3a|kubernetes|yarn)\.[\w./-]+"
    r"|spark\.driver\.memory(Overhead(Factor)?)?"
    r"|spark\.authenticate(\.secret(\.(driver\.|executor\.)?file)?)?"
    r"|spark\.network\.crypto\.(enabled|saslFallback|cipher|authEngineVersion)"
    r"|spark\.io\.encryption\.(enabled|keySizeBits)",
    re.ASCII,
)

_LOADS_CODE = "it makes the JVM load code that the config names"
_LOSES_DATA = "Spark would skip files or rows silently"
_CHECKPOINTS = "checkpoints are under storage.root, where `medallion checkpoint` manages them"
_DELTA_CHECKS = "it turns off a check that protects tables"

# (key, the only allowed value or None if the key is always refused, reason); the first rule
# that matches the whole key applies.
_RULES: tuple[tuple[str, str | None, str], ...] = (
    (r"spark\.master", None, "write it as spark.master in the config, not under conf"),
    (r"spark\.sql\.shuffle\.partitions", None, "write it as spark.shuffle_partitions"),
    (r"spark\.app\.name", None, "the session is named after the pipeline"),
    (r"spark\.jars(\..*)?", None, _LOADS_CODE),
    (r"spark\.plugins(\..*)?|spark\..*\.plugins", None, _LOADS_CODE),
    (r"spark\..*(extra|default)JavaOptions", None, "it passes options to the JVM, code among them"),
    (r"spark\..*(extra(ClassPath|LibraryPath)|userClassPathFirst)", None, _LOADS_CODE),
    (r"spark\..*\.discoveryScript", None, "it names a program to run"),
    (r"spark\.sql\.redaction\..*", None, "a config must not change what logs hide"),
    (
        r"spark\.databricks\.delta\.properties\.defaults\.setTransactionRetentionDuration",
        None,
        "a table that forgets its transactions could get a batch twice",
    ),
    (
        r"spark\.databricks\.delta\.stats\.collect",
        "true",
        "row counts are read from these statistics",
    ),
    (r"spark\.sql\.extensions", None, f"{_LOADS_CODE}; Delta's is already set"),
    (r"spark\.sql\.catalog\..*", None, f"{_LOADS_CODE}; Delta's is already set"),
    (r"spark\..*[lL]isteners?", None, _LOADS_CODE),
    (r"spark\.sql\.hive\..*", None, "it connects to a Hive metastore and loads its jars"),
    (r"spark\.(yarn\.(jars|archive|dist\..*|.*[cC]lass[pP]ath.*))", None, _LOADS_CODE),
    (r"spark\.yarn\.(keytab|principal)", None, "log in through spark-submit"),
    (r"spark\.kubernetes\..*podTemplate.*", None, "a pod template can run any image and command"),
    (r"spark\.kubernetes\..*[fF]ile\.upload.*", None, "spark-submit uploads, the config does not"),
    (r"spark\.hadoop\.fs\..*\.impl(\..*)?", None, _LOADS_CODE),
    (r"spark\.hadoop\.fs\.s3a\..*[sS]igners?.*|.*\.signing-algorithm", None, _LOADS_CODE),
    (
        r"spark\.hadoop\.fs\.s3a\.(.*\.)?credentials\.provider",
        r"(org\.apache\.hadoop\.fs\.s3a|software\.amazon\.awssdk\.auth\.credentials)\.\w+",
        f"{_LOADS_CODE}; only providers of Hadoop and of the AWS SDK are allowed",
    ),
    (
        r"spark\.sql\.streaming\.stateStore\.providerClass",
        r"org\.apache\.spark\.sql\.execution\.streaming\.(state\.)?"
        r"(HDFSBackedStateStoreProvider|RocksDBStateStoreProvider)",
        f"{_LOADS_CODE}; only Spark's own state stores are allowed",
    ),
    (r"spark\.(?!kubernetes\.).*([cC]lass(es|Name)?|[sS]erializer)", None, _LOADS_CODE),
    (r"spark\.sql\.streaming\.checkpointLocation", None, _CHECKPOINTS),
    (
        r"spark\.sql\.streaming\.checkpoint\.verify.*",
        "true",
        "it turns off the check of a checkpoint",
    ),
    (r"spark\.sql\.streaming\.forceDeleteTempCheckpointLocation", "false", _CHECKPOINTS),
    (
        r"spark\.sql\.streaming\.stopActiveRunOnRestart",
        "false",
        "a second start would stop the first in the middle of a batch",
    ),
    (r"spark\.sql\..*\.ignore(MissingFiles|CorruptFiles)", "false", _LOSES_DATA),
    (r"spark\.sql\.streaming\.fileSource\.schema\.forceNullable", "true", _LOSES_DATA),
    (r"spark\.sql\.streaming\.schemaInference", "false", "schemas are declared, never guessed"),
    (
        r"spark\.sql\.ansi\.enabled",
        "true",
        "without ANSI mode, an overflow or a bad cast silently becomes a wrong value",
    ),
    (
        r"spark\.sql\.session\.timeZone",
        "UTC",
        "tables must not depend on the time zone of the machine that runs a job",
    ),
    (r"spark\.sql\.caseSensitive", "false", "column names must not differ by case alone"),
    (
        r"spark\.sql\.variable\.substitute",
        "false",
        "Spark would put secrets from the environment into SQL text",
    ),
    (
        r"spark\.databricks\.delta\.schema\.autoMerge\.enabled(ForWrites)?",
        "false",
        "only the config decides how schemas change",
    ),
    (r"spark\.databricks\.delta\..*[vV]alidation.*", "true", _DELTA_CHECKS),
    (r"spark\.databricks\.delta\.retentionDurationCheck\.enabled", "true", _DELTA_CHECKS),
    (r"spark\.databricks\.delta\..*[uU]nsafe.*", "false", _DELTA_CHECKS),
)
_COMPILED = tuple((re.compile(key), value, reason) for key, value, reason in _RULES)


def refusal(key: str, value: object) -> str | None:
    """The reason why a config may not set this key to this value; None if it may.

    The reason names the allowed value, never the given one.
    """
    for pattern, only, reason in _COMPILED:
        if pattern.fullmatch(key):
            if only is None:
                return f"refused: {reason}"
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if re.fullmatch(only, text):
                return None
            # A plain word can be shown; a pattern of class names cannot, but its reason can.
            allowed = f"only `{only}` is allowed: " if only.isalpha() else "refused: "
            return f"{allowed}{reason}"
    if _ALLOWED.fullmatch(key):
        return None
    return f"not a setting that a config may set; allowed are {ALLOWED}"
