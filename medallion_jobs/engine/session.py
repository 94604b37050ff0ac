"""Builds the Spark session: on a laptop, in Docker and on a cluster.

Settings of spark-submit override the config, which overrides the defaults here. A few settings
are fixed, because tables must not depend on the machine that writes them: a session with other
values is refused.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs.config.secrecy import is_secret
from medallion_jobs.engine import security
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import paths
from medallion_jobs.runtime.cache import from_home
from medallion_jobs.runtime.class_archive import ClassArchive
from medallion_jobs.runtime.jars import DELTA, SPARK, Jar, delta_jars, needed
from medallion_jobs.runtime.java import find_java
from medallion_jobs.runtime.jvm_options import QUICK_COMPILER, as_text, driver_options
from medallion_jobs.runtime.locales import VARIABLE, impossible_names, utf8_environment, utf8_name
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
    # `${env:SECRET}` in SQL text must not be replaced.
    "spark.sql.variable.substitute": "false",
    # Other engines read INT96 timestamps, Spark's default, differently.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # A second start of a query must fail, not silently stop the first.
    "spark.sql.streaming.stopActiveRunOnRestart": "false",
    "spark.sql.streaming.stopTimeout": "60s",
    # One pool for each query, so that a large batch of one does not delay the others.
    "spark.scheduler.mode": "FAIR",
    # The state of gold's complete mode is on disk, not on the heap, and each batch writes only
    # its changes. A checkpoint keeps the state store that it started with.
    "spark.sql.streaming.stateStore.providerClass": ROCKSDB,
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    # Paths come from the ledger: a Spark job that lists them again costs more than it saves
    # (12 to 30 s for 1,000 local files).
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "100000",
    # Small files share a task: by default each counts as 4 MB, so that 1,000 of them become
    # 31 tasks and 31 output files.
    "spark.sql.files.openCostInBytes": "131072",
    # Any version of a table can be read as long as its files exist: after a long stop, a run may
    # continue with the versions that it started with.
    "spark.databricks.delta.vacuum.enforceTimeTravelWithinDeletedFileRetentionDuration": "false",
    # For each expression that Python builds, Spark makes more calls to the JVM to record the line
    # that wrote it, which is always a line of this package. That is two fifths of Python's work
    # for a small batch; spark-submit can turn it on again.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # Three queries have more generated classes than the 100 that Spark caches: each round of
    # batches would compile about 75 of them again.
    "spark.sql.codegen.cache.maxEntries": "500",
    # Spark infers filters from what a plan says about its columns. Bronze reads each column from
    # texts that depend on each other, and the time for that grows exponentially with the columns:
    # 12 take 4 s, 18 take 37 s, 25 do not end.
    "spark.sql.constraintPropagation.enabled": "false",
    # Only the newest few are read; by default, 100 for each query stay on the heap.
    "spark.sql.streaming.numRecentProgressUpdates": "20",
    "spark.ui.showConsoleProgress": "false",
}
# With any other value, rows would be lost, moved to another day, or turned into nulls.
_REQUIRED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.streaming.stopActiveRunOnRestart": "false",
}
# The same for settings without a default in Spark.
_REQUIRED_OR_UNSET = {
    "spark.sql.extensions": (DELTA_EXTENSION, "not set"),
    "spark.sql.catalog.spark_catalog": (DELTA_CATALOG, "not set"),
    "spark.sql.streaming.checkpointLocation": ("", ""),
    "spark.databricks.delta.schema.autoMerge.enabled": ("false", "false"),
}
# Spark 4.1 has moved its class.
_CHECKPOINTING = "" if SPARK == "4.0" else "checkpointing."
# For checkpoints on a disk, where a rename replaces a file atomically. Spark's default deletes the
# old file first, and starts a process for each name to check whether it is a link.
_ON_DISK = {
    "spark.sql.streaming.checkpointFileManagerClass": "org.apache.spark.sql.execution.streaming."
    f"{_CHECKPOINTING}FileSystemBasedCheckpointFileManager",
}
# For a master in this process: small tables, few cores, no use for the UI.
_LOCAL = {
    "spark.ui.enabled": "false",
    # Even without the UI, Spark formats each query's plan again whenever a stage ends.
    "spark.sql.ui.explainMode": "simple",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # 50 by default: fifty tasks to read the log of a table of ten rows.
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.driver.memory": "2g",
    # It makes a job of each shuffle to plan the next by its size: a quarter of the jobs of a small
    # batch, and there are only as many partitions as `spark.shuffle_partitions` says.
    "spark.sql.adaptive.enabled": "false",
}
# Executors open files by their names, too, and get the locale of the daemon that starts them.
_EXECUTORS_LOCALE = f"spark.executorEnv.{VARIABLE}"
# Spark's script starts a JVM of its own first, to print the command line of the one that stays.
_LAUNCHER = {"SPARK_LAUNCHER_OPTS": QUICK_COMPILER}
_END_OF_CLASS_PATH = "SPARK_DIST_CLASSPATH"
_LOGGING = Path(__file__).with_name("log4j2.properties")


def build(
    config: Pipeline,
    *,
    short: bool = False,
    log_level: str = "fatal",
    error_log: Path | None = None,
) -> SparkSession:
    """The Spark session for a pipeline's jobs; an existing session is reused as it is.

    Args:
        short: whether the run will end soon; the JVM is then tuned to start fast.
        log_level: the JVM's log level on stderr, if this process starts the JVM.
        error_log: the file where such a JVM writes its errors, too.

    Raises:
        UsageError: no Java, no secret for a cluster that needs one, or a session that would
            write wrong tables.
        TransientError: the Delta jars could not be downloaded, or a cluster did not answer.
    """
    submitted = _is_submitted()
    if not submitted:
        _prepare_own_jvm()

    from pyspark import SparkConf, SparkContext  # noqa: PLC0415 (reads the environment just set)
    from pyspark.sql import SparkSession  # noqa: PLC0415

    if submitted:
        # Without a connection to the JVM, a SparkConf lacks the submitted settings.
        SparkContext._ensure_initialized()
    conf = SparkConf()
    defaults = _defaults(config, str(conf.get("spark.master", "") or ""))
    master = defaults["spark.master"]
    jars = needed(objects=config.has_objects, kafka=bool(config.kafka_sources))
    logging = _logging(log_level, error_log)
    own = {} if submitted else _own_jvm(master, jars, short, logging)
    settings = {**defaults, **own, **dict(conf.getAll())}
    if submitted and (added := _added_jars(settings, jars)):
        settings["spark.jars"] = ",".join(filter(None, (settings.get("spark.jars"), *added)))
        conf.set("spark.jars", settings["spark.jars"])
    settings.update(security.secret(settings, master))
    security.quiet_bridge()
    security.quiet_errors()
    shown = SparkConf(loadDefaults=False)
    shown.setAll([(key, value) for key, value in settings.items() if not is_secret(key, value)])
    if not submitted:
        threading.Thread(target=_import_meanwhile, daemon=True).start()
        # pyspark starts the JVM with these settings on a command line, which anybody can see.
        SparkContext._ensure_initialized(conf=shown)
        conf = SparkConf()
    for key, value in settings.items():
        conf.setIfMissing(key, value)
    with security.answered(master):
        SparkContext.getOrCreate(conf)
        # A session logs its options, so it gets the secrets from its context.
        spark = SparkSession.builder.config(conf=shown).getOrCreate()
    security.without_foreign_code(spark)
    _refuse_unsafe(spark)
    refuse_folders(config)
    return spark


def prepare_next_start() -> str | None:
    """Has a missing class archive made in the background, for the next JVM of this machine.

    Returns:
        A note for the user; None if nothing was started.
    """
    log = None if _is_submitted() else ClassArchive(find_java()).make_in_background()
    if log is None:
        return None
    return (
        "making a class archive in the background, once: later starts take a third less time "
        f"(log: {from_home(log)})"
    )


def check_arguments() -> None:
    """Checks that spark-submit has passed the job's arguments on unchanged.

    Raises:
        UsageError: it has not, because of its locale; the next step is the whole command line.
    """
    if _is_submitted():
        from pyspark import SparkConf, SparkContext  # noqa: PLC0415 (as in `build`)

        SparkContext._ensure_initialized()
        settings = dict(SparkConf().getAll())
        Submitted(SparkContext._jvm, settings, sys.argv).check_arguments()


def check_submitted(config: Pipeline) -> None:
    """Checks that a job under spark-submit has what it needs, before anything is written.

    Raises:
        UsageError: something is missing and cannot be added; the next step is the whole
            command line to type.
    """
    if not _is_submitted():
        return
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415 (as in `build`)

    SparkContext._ensure_initialized()
    conf = SparkConf()
    defaults = _defaults(config, str(conf.get("spark.master", "") or ""))
    settings = {**defaults, **dict(conf.getAll())}
    submitted = Submitted(SparkContext._jvm, settings, sys.argv)
    submitted.check_names(_folders(config))
    _added_jars(settings, needed(objects=config.has_objects, kafka=bool(config.kafka_sources)))


def _is_submitted() -> bool:
    """Whether spark-submit started the JVM and this process."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _added_jars(settings: Mapping[str, str], wanted: tuple[Jar, ...]) -> list[str]:
    """Adds missing jars to spark-submit's JVM.

    Returns:
        The paths of the jars that executors lack.
    """
    from pyspark import SparkContext  # noqa: PLC0415 (as in `build`)

    if SparkContext._active_spark_context is not None:
        return []  # the jars and settings of a running context cannot change
    return Submitted(SparkContext._jvm, settings, sys.argv).prepare(wanted)


def beside(spark: SparkSession) -> SparkSession:
    """A new session on the context of the user's session, which stays unchanged.

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


def is_lost(spark: SparkSession) -> bool:
    """Whether the session's JVM is gone, or its context was stopped."""
    from py4j.protocol import Py4JError  # noqa: PLC0415 (py4j comes with pyspark)

    try:
        context = spark.sparkContext._jsc
        return context is None or bool(context.sc().isStopped())
    except (Py4JError, OSError):
        return True


def refuse_folders(config: Pipeline) -> None:
    """Refuses a config with folders whose names the session's JVM cannot write.

    Raises:
        UsageError: as `refuse_names`.
    """
    refuse_names(_folders(config), untouched="nothing was started")


def refuse_names(names: Iterable[str], *, untouched: str) -> None:
    """Refuses names of local files that the session's JVM cannot open.

    Raises:
        UsageError: there are such names; the JVM was started under another locale than UTF-8.
    """
    from pyspark import SparkContext  # noqa: PLC0415 (as in `build`)

    if odd := impossible_names(SparkContext._jvm, names):
        raise UsageError(
            f"the JVM was not started under a UTF-8 locale, so it cannot open {', '.join(odd[:3])}",
            code="locale_not_utf",
            untouched=untouched,
            next_step=f"start the program that creates the session with {VARIABLE}=C.UTF-8",
        )


def _folders(config: Pipeline) -> list[str]:
    """The folders of a config: of its tables, and of the files that it reads."""
    sources = [*(path for name in config.file_sources for path in config.landing_paths(name))]
    return [str(config.state_path), *sources]


def _refuse_unsafe(spark: SparkSession) -> None:
    """Refuses a session that would silently write wrong tables."""
    # No default is passed, so for unset keys this is Spark's own default.
    has = {key: str(spark.conf.get(key)) for key in _REQUIRED}
    wanted = dict(_REQUIRED)
    for key, (value, unset) in _REQUIRED_OR_UNSET.items():
        has[key], wanted[key] = str(spark.conf.get(key, unset)), value
    wrong = [
        f"{key} is {has[key]}, and must be {value or 'unset'}"
        for key, value in wanted.items()
        if value not in has[key].split(",")
    ]
    if wrong:
        raise UsageError(
            "this Spark session would write wrong tables:\n  " + "\n  ".join(wrong),
            code="unsafe_session",
            untouched="nothing was started",
            next_step="remove these settings where the session is created, or correct them",
        )


def _import_meanwhile() -> None:
    """Imports what the run needs later, while it waits for the JVM."""
    # pyspark asks for pandas at its first call to the JVM, delta-rs for datasets at its first read.
    for name in ("pandas", "pyarrow.dataset"):
        with suppress(ImportError):
            import_module(name)


def _prepare_own_jvm() -> None:
    """Sets the environment in which pyspark starts its JVM."""
    java = find_java()
    os.environ["JAVA_HOME"] = str(java.home)
    os.environ.update(utf8_environment())
    for key, value in _LAUNCHER.items():
        os.environ.setdefault(key, value)
    # Otherwise workers use the first `python3` on PATH, which may lack the job's packages.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable


def _defaults(config: Pipeline, submitted_master: str) -> Mapping[str, str]:
    """The settings of the session that the user has not set."""
    master = submitted_master or config.spark.master or "local[*]"
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    memory = config.spark.driver_memory
    return {
        **_COMMON,
        **security.defaults(master),
        "spark.app.name": f"medallion {config.pipeline}",
        "spark.master": master,
        # Spark always creates this folder; not in the user's working directory.
        "spark.sql.warehouse.dir": str(paths.warehouse(config)),
        "spark.sql.shuffle.partitions": str(config.spark.shuffle_partitions),
        **(_LOCAL if master.startswith("local") else {_EXECUTORS_LOCALE: utf8_name() or "C.UTF-8"}),
        **(_ON_DISK if isinstance(config.state_path, Path) else {}),
        **({"spark.driver.memory": memory} if memory else {}),
        **(config.store.spark_conf if config.has_objects else {}),
        **config.spark.conf,
    }


def _own_jvm(
    master: str, wanted: tuple[Jar, ...], short: bool, logging: Sequence[str]
) -> Mapping[str, str]:
    """Settings that must be set before the JVM starts: class path and JVM options."""
    jars = [str(jar) for jar in delta_jars(wanted)]
    delta, others = jars[: len(DELTA)], jars[len(DELTA) :]
    if others:
        # At the end of the class path: what comes before it stays as the class archive has it.
        known = os.environ.get(_END_OF_CLASS_PATH)
        os.environ[_END_OF_CLASS_PATH] = os.pathsep.join([*([known] if known else []), *others])
    options = [*logging, *driver_options(short=short)]
    return {
        # Not as `spark.jars`: that starts slower, and executors in this process use the driver's
        # class path.
        "spark.driver.extraClassPath": os.pathsep.join(delta),
        "spark.driver.extraJavaOptions": as_text(options),
        **({} if master.startswith("local") else {"spark.jars": ",".join(jars)}),
    }


def _logging(level: str, error_log: Path | None) -> list[str]:
    """The JVM's options for what it logs: to stderr, and errors to a file."""
    is_more = error_log is None or level in ("warn", "info")
    return [
        f"-Dlog4j2.configurationFile={_LOGGING.as_uri()}",
        f"-Dmedallion.log.level={level}",
        f"-Dmedallion.log.least={level if is_more else 'error'}",
        *([f"-Dmedallion.log.file={error_log}"] if error_log else []),
    ]
