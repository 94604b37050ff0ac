"""Turns the failure of a query into an error that says what to do."""

from __future__ import annotations

import re

from py4j.protocol import Py4JJavaError, Py4JNetworkError
from pyspark.errors import PySparkException

from medallion_jobs.errors import DataError, MedallionError, TransientError, UsageError
from medallion_jobs.storage import Location

_STORAGE = {
    "No space left on device": "free some disk space",
    "Disk quota exceeded": "free some disk space",
    "Read-only file system": "make it writable",
    "Permission denied": "make it writable for the user who runs the job",
    "Input/output error": "check the disk",
    # Hadoop and Delta, of a folder; they do not say why.
    "Mkdirs failed to create": "make the folder above it writable, or free some disk space",
    "Cannot create file": "make the folder above it writable, or free some disk space",
}
_NETWORK = re.compile(
    r"java\.net\.(?:Connect|UnknownHost|NoRouteToHost|SocketTimeout|Socket)Exception"
    r"|org\.apache\.kafka\.common\.errors\.(?:Timeout|Disconnect|Network)Exception"
    r"|Unable to execute HTTP request|Status Code: (?:429|5\d\d)"
)
# A task or its executor died; a batch that needs too much memory may be the cause.
_LOST_EXECUTOR = ("ExecutorLostFailure", "FetchFailed", "MetadataFetchFailed", "OutOfMemoryError")
_OTHER_WRITER = re.compile(
    r"DELTA_CONCURRENT_|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED|io\.delta\.exceptions\.\w+Exc"
)
# A name of a file that the JVM, or an executor's, cannot write under its locale.
_NO_NAME = "Malformed input or input contains unmappable characters"
_UNTOUCHED = "nothing of the batch is visible; the next start runs it again"
_LONGEST = 500
_MOST_CAUSES = 10
# Delta's message: the check's name, its expression, and a line for each column in it.
_BROKEN_CHECK = re.compile(
    r"\[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES\] CHECK constraint (\S+) (.+?) violated by row with "
    r"values:\s*(\{[^\n]*\}|(?:\s*- [^\n]*)+)"
)
# Not in the middle of a word, as in `java.base/java.io`.
_PATH = re.compile(r"(?<![^\s'\"(\[=:])(/[^\s:'\"]+)")


def explain(table: str, failure: BaseException, where: Location) -> MedallionError:
    """The error to show for a query that failed.

    Args:
        table: the query's table, as `layer.name`.
        where: the folder that the query writes, shown if the failure names no path.

    Returns:
        A `TransientError` for a failing disk or network, a lost executor or another writer; a
        `UsageError` for a wrong locale; a `DataError` for another error of Spark; and for anything
        else a `MedallionError` that calls it a bug.
    """
    if isinstance(failure, MedallionError):
        return failure
    text = _with_causes(failure)
    if known := (
        _of_storage(table, failure, text, where)
        or _refused_by_delta(table, text)
        or _unwritable(table, text, where)
        or _passing(table, failure, text)
    ):
        return known
    if isinstance(failure, PySparkException | Py4JJavaError):
        return DataError(
            f"{table}: the batch failed: {root_cause(failure)}",
            code="batch_failed",
            untouched=_UNTOUCHED,
            next_step="fix this, then run again (--log-level error shows the whole error)",
        )
    return MedallionError(
        f"{table}: a bug, not your data: {type(failure).__name__}: {failure}",
        code="bug",
        untouched=_UNTOUCHED,
    )


def _with_causes(failure: BaseException) -> str:
    """The text of a failure and of its causes, which pyspark does not show in the text."""
    texts: list[str] = []
    cause: BaseException | None = failure
    while cause is not None and len(texts) < _MOST_CAUSES:
        texts.append(str(cause))
        cause = getattr(cause, "_cause", None)
    return "\nCaused by: ".join(texts)


def _of_storage(
    table: str, failure: BaseException, text: str, where: Location
) -> TransientError | None:
    """The error for a disk or a store that fails; None for any other failure."""
    for symptom, fix in _STORAGE.items():
        if symptom in text:
            return TransientError(
                f"{table}: the batch failed: {symptom}: {_path_near(text, symptom) or where}",
                code="storage_failed",
                untouched=_UNTOUCHED,
                next_step=f"{fix}, then run again",
            )
    if isinstance(failure, OSError):
        return TransientError(
            f"{table}: {failure.strerror or failure}: {failure.filename or where}",
            code="batch_failed_by_system",
            untouched=_UNTOUCHED,
            next_step="fix this, then run again",
        )
    return None


def _refused_by_delta(table: str, text: str) -> DataError | None:
    """The error for a read or write that Delta refused; None for any other failure."""
    if broken := _BROKEN_CHECK.search(text):
        name, sql, values = broken.groups()
        row = ", ".join(line.strip(" -") for line in values.strip().splitlines())
        return DataError(
            f"{table}: a row breaks the check {name} {sql.strip()}: {row[:_LONGEST]}",
            code="check_violated",
            untouched=_UNTOUCHED,
            next_step="quarantine such rows with an expectation, or fix `layout.checks` of the "
            "table in the config; then run again",
        )
    return None


def _passing(table: str, failure: BaseException, text: str) -> TransientError | None:
    """The error for a failure that may pass: of a JVM, an executor, a network, another writer."""
    if isinstance(failure, Py4JNetworkError):
        return TransientError(
            f"{table}: the JVM of the run has ended: {text}",
            code="jvm_ended",
            untouched=_UNTOUCHED,
            next_step="run again; if it was killed for its memory, see `spark.driver_memory`",
        )
    if any(symptom in text for symptom in _LOST_EXECUTOR):
        return TransientError(
            f"{table}: the batch failed, because an executor was lost: {_cause(text)}",
            code="executor_lost",
            untouched=_UNTOUCHED,
            next_step="run again; if it is out of memory, give it more, or take less in a batch: "
            "`max_files_per_trigger`",
        )
    if _NETWORK.search(text):
        return TransientError(
            f"{table}: the batch failed, because something did not answer: {_cause(text)}",
            code="network_failed",
            untouched=_UNTOUCHED,
            next_step="check the network, then run again",
        )
    if _OTHER_WRITER.search(text):
        return TransientError(
            f"{table}: the batch failed, because another program changed a table that it writes: "
            f"{_cause(text)}",
            code="other_writer",
            untouched=_UNTOUCHED,
            next_step="run again; only this package should write its tables",
        )
    return None


def root_cause(failure: BaseException) -> str:
    """The root cause in one line: the last `Caused by`, since Spark wraps it several times."""
    return _cause(str(failure)) or type(failure).__name__


def _cause(text: str) -> str:
    # Py4J adds a first line of its own, and a colon before Java's first line.
    stripped = (line.strip().removeprefix(": ") for line in text.splitlines())
    lines = [x for x in stripped if x and not x.startswith("An error occurred while calling")]
    roots = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return ((roots or lines or [""])[-1 if roots else 0])[:500]


def _unwritable(table: str, text: str, where: Location) -> UsageError | None:
    """The error for a name that a JVM cannot write; None for any other failure."""
    if _NO_NAME not in text:
        return None
    return UsageError(
        f"{table}: the batch failed: a JVM that was not started under a UTF-8 locale cannot write "
        f"{_path_near(text, _NO_NAME) or where}",
        code="locale_not_utf",
        untouched=_UNTOUCHED,
        next_step="start it with LC_ALL=C.UTF-8, and executors with --conf "
        "spark.executorEnv.LC_ALL=C.UTF-8; then run again",
    )


def _path_near(text: str, symptom: str) -> str | None:
    """The path in the line with the symptom, else the first path in the text, else None."""
    line = next(line for line in text.splitlines() if symptom in line)
    found = _PATH.search(line) or _PATH.search(text)
    return found.group(1) if found else None
