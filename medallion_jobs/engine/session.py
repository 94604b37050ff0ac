"""The one place where a Spark session is made: for a laptop, for Docker and for a cluster.

What the user passes to spark-submit wins over the configuration, which wins over the
defaults here. A few settings are not open, since tables must not depend on the machine that
made them: a session that has them otherwise is refused.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs.config.secrecy import is_secret
from medallion_jobs.engine import security
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import paths
from medallion_jobs.runtime.jars import Jar, delta_jars, needed
from medallion_jobs.runtime.java import find_java
from medallion_jobs.runtime.submitted import Submitted
from medallion_jobs.runtime.whole_line import DELTA_CATALOG, DELTA_EXTENSION

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from medallion_jobs.config import Pipeline

ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"

# For every master.
_COMMON = {
    "spark.sql.extensions": DELTA_EXTENSION,
    "spark.sql.catalog.spark_catalog": DELTA_CATALOG,
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # `${env:SECRET}` in an SQL text must stay a text.
    "spark.sql.variable.substitute": "false",
    # INT96 timestamps, Spark's default, are read differently by other engines.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # A second start of a query must fail, not silently stop the first.
    "spark.sql.streaming.stopActiveRunOnRestart": "false",
    "spark.sql.streaming.stopTimeout": "60s",
    # One pool a query, so that a large batch of one does not hold up the others.
    "spark.scheduler.mode": "FAIR",
    # The state of gold's complete mode lies on disk, not on the heap, and each batch writes what
    # it changed, not all of it. A checkpoint goes on with the store that it began with.
    "spark.sql.streaming.stateStore.providerClass": ROCKSDB,
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    # Paths come from the ledger: a Spark job that only lists them again costs more than it
    # saves (12 to 30 s for 1,000 local files).
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "100000",
    # Small files share a task: by default each counts as 4 MB, so that 1,000 of them become
    # 31 tasks and 31 output files.
    "spark.sql.files.openCostInBytes": "131072",
    # A version of a table can be read for as long as its files are there, however old it is: a
    # run may go on after a long stop with the versions that it began with.
    "spark.databricks.delta.vacuum.enforceTimeTravelWithinDeletedFileRetentionDuration": "false",
    # Spark asks the JVM several times more for each expression that Python builds, to tell where a
    # wrong one was written: here that is a line of this package. It is two fifths of what Python
    # does for a small batch; spark-submit can turn it on again.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # Three queries have more generated classes than the 100 that Spark keeps: each round of their
    # batches would compile some 75 of them again.
    "spark.sql.codegen.cache.maxEntries": "500",
    # Nothing reads more than the newest few; the default keeps 100 a query on the heap.
    "spark.sql.streaming.numRecentProgressUpdates": "20",
    "spark.ui.showConsoleProgress": "false",
}
# Under any other value, rows would be lost, moved to another day, or turned into nulls.
_REQUIRED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.streaming.stopActiveRunOnRestart": "false",
}
# The same, of settings that Spark itself knows no default of.
_REQUIRED_OR_UNSET = {
    "spark.sql.extensions": (DELTA_EXTENSION, "not set"),
    "spark.sql.catalog.spark_catalog": (DELTA_CATALOG, "not set"),
    "spark.sql.streaming.checkpointLocation": ("", ""),
    "spark.databricks.delta.schema.autoMerge.enabled": ("false", "false"),
}
# For checkpoints on a disk, where a rename replaces a file in one step. Spark's own choice deletes
# the old file first, and starts a process to ask of each name whether it is a link.
_ON_DISK = {
    "spark.sql.streaming.checkpointFileManagerClass": "org.apache.spark.sql.execution.streaming."
    "checkpointing.FileSystemBasedCheckpointFileManager",
}
# For a master in this process: small tables, few cores, nobody watching a UI.
_LOCAL = {
    "spark.ui.enabled": "false",
    # Each query's plan is written out for it all the same, anew as its stages are done.
    "spark.sql.ui.explainMode": "simple",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # 50 by default: fifty tasks to read the log of a table of ten rows.
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.driver.memory": "2g",
}
# A run over a few small batches is mostly class loading and compilation.
_SHORT_RUN = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
_LOGGING = Path(__file__).with_name("log4j2.properties")


def build(config: Pipeline, *, short: bool = False, log_level: str = "fatal") -> SparkSession:
    """The session for a pipeline's jobs; an existing one is taken as it is.

    Args:
        short: the run will end soon; the JVM is tuned to start quickly.
        log_level: what the JVM logs to stderr, where this process starts it.

    Raises:
        UsageError: no Java, no secret for a cluster that asks for one, or a session under which
            tables would come out wrong.
        TransientError: the Delta jars had to be fetched and could not be; or a cluster did not
            answer.
    """
    submitted = _is_submitted()
    if not submitted:
        _prepare_own_jvm()

    from pyspark import SparkConf, SparkContext  # noqa: PLC0415 (reads the environment just set)
    from pyspark.sql import SparkSession  # noqa: PLC0415

    if submitted:
        # Without a way to the JVM a SparkConf is empty, and what was submitted would not count.
        SparkContext._ensure_initialized()
    conf = SparkConf()
    defaults = _defaults(config, str(conf.get("spark.master", "") or ""))
    master = defaults["spark.master"]
    jars = needed(objects=config.has_objects)
    own = {} if submitted else _own_jvm(master, jars, short, log_level)
    settings = {**defaults, **own, **dict(conf.getAll())}
    if submitted and (added := _added_jars(settings, jars)):
        settings["spark.jars"] = ",".join(filter(None, (settings.get("spark.jars"), *added)))
        conf.set("spark.jars", settings["spark.jars"])
    settings.update(security.secret(settings, master))
    security.quiet_bridge()
    shown = SparkConf(loadDefaults=False)
    shown.setAll([(key, value) for key, value in settings.items() if not is_secret(key, value)])
    if not submitted:
        # pyspark puts all that it starts a JVM with on a command line, for anybody to see.
        SparkContext._ensure_initialized(conf=shown)
        conf = SparkConf()
    for key, value in settings.items():
        conf.setIfMissing(key, value)
    with security.answered(master):
        SparkContext.getOrCreate(conf)
        # A session logs the options that it is made with; secrets it has from its context.
        spark = SparkSession.builder.config(conf=shown).getOrCreate()
    security.without_foreign_code(spark)
    _refuse_unsafe(spark)
    return spark


def check_submitted(config: Pipeline) -> None:
    """Sees that a job under spark-submit has what it needs, before anything is made.

    Raises:
        UsageError: it has not, and this cannot be helped from here; the next step is the whole
            line to type.
    """
    if not _is_submitted():
        return
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415 (as in `build`)

    SparkContext._ensure_initialized()
    conf = SparkConf()
    defaults = _defaults(config, str(conf.get("spark.master", "") or ""))
    _added_jars({**defaults, **dict(conf.getAll())}, needed(objects=config.has_objects))


def _is_submitted() -> bool:
    """Whether spark-submit has started the JVM, and this process from it."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _added_jars(settings: Mapping[str, str], wanted: tuple[Jar, ...]) -> list[str]:
    """Adds the jars that spark-submit was not given; the paths of those that executors lack."""
    from pyspark import SparkContext  # noqa: PLC0415 (as in `build`)

    if SparkContext._active_spark_context is not None:
        return []  # its jars and settings are what they are
    return Submitted(SparkContext._jvm, settings, sys.argv).prepare(wanted)


def beside(spark: SparkSession) -> SparkSession:
    """A session of our own beside a user's, on the same context; hers stays as it is.

    Raises:
        UsageError: the context was started without Delta's extension or catalog.
    """
    own = spark.newSession()
    for key, value in {**_COMMON, **_REQUIRED}.items():
        if own.conf.isModifiable(key):
            own.conf.set(key, value)
    security.without_foreign_code(own)
    _refuse_unsafe(own)
    return own


def _refuse_unsafe(spark: SparkSession) -> None:
    """Refuses a session under which tables would come out wrong without a word."""
    # Asked without a default of ours, so that Spark's own default answers where nothing is set.
    has = {key: str(spark.conf.get(key)) for key in _REQUIRED}
    wanted = dict(_REQUIRED)
    for key, (value, unset) in _REQUIRED_OR_UNSET.items():
        has[key], wanted[key] = str(spark.conf.get(key, unset)), value
    wrong = [
        f"{key} is {has[key]}, and has to be {value or 'unset'}"
        for key, value in wanted.items()
        if value not in has[key].split(",")
    ]
    if wrong:
        raise UsageError(
            "this Spark session would make wrong tables:\n  " + "\n  ".join(wrong),
            untouched="nothing was started",
            next_step="leave these settings out where the session is made, or set them so",
        )


def _prepare_own_jvm() -> None:
    """The environment in which pyspark starts its JVM."""
    java = find_java()
    os.environ["JAVA_HOME"] = str(java.home)
    # Workers otherwise take the first `python3` on PATH, which may lack what the job has.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable


def _defaults(config: Pipeline, submitted_master: str) -> Mapping[str, str]:
    """What we want of the session where the user has not said otherwise."""
    master = submitted_master or config.spark.master or "local[*]"
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    memory = config.spark.driver_memory
    return {
        **_COMMON,
        **security.defaults(master),
        "spark.app.name": f"medallion {config.pipeline}",
        "spark.master": master,
        # Spark makes this folder whether it needs one or not; not in the user's own.
        "spark.sql.warehouse.dir": str(paths.warehouse(config)),
        "spark.sql.shuffle.partitions": str(config.spark.shuffle_partitions),
        **(_LOCAL if master.startswith("local") else {}),
        **(_ON_DISK if isinstance(config.state_path, Path) else {}),
        **({"spark.driver.memory": memory} if memory else {}),
        **(config.store.spark_conf if config.has_objects else {}),
        **config.spark.conf,
    }


def _own_jvm(
    master: str, wanted: tuple[Jar, ...], short: bool, log_level: str
) -> Mapping[str, str]:
    """What only whoever starts the JVM can set: class path and JVM options."""
    jars = [str(jar) for jar in delta_jars(wanted)]
    options = [
        f"-Dlog4j2.configurationFile={_LOGGING.as_uri()}",
        f"-Dmedallion.log.level={log_level}",
        *(_SHORT_RUN if short else []),
    ]
    return {
        # Not as `spark.jars`: that loader starts slower, and executors in this process
        # share the driver's class path.
        "spark.driver.extraClassPath": os.pathsep.join(jars),
        "spark.driver.extraJavaOptions": " ".join(options),
        **({} if master.startswith("local") else {"spark.jars": ",".join(jars)}),
    }
