"""From whatever a query died of to an error that says what to do."""

from __future__ import annotations

import re

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from medallion_jobs.errors import DataError, MedallionError, TransientError
from medallion_jobs.storage import Location

_STORAGE = {
    "No space left on device": "free some room",
    "Disk quota exceeded": "free some room",
    "Read-only file system": "make it writable",
    "Permission denied": "make it writable for the user who runs the job",
    "Input/output error": "look at the disk",
}
_LONGEST = 500
# As Delta tells it: the name, the expression, and each column that it names on a line.
_BROKEN_CHECK = re.compile(
    r"\[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES\] CHECK constraint (\S+) (.+?) violated by row with "
    r"values:\s*(\{[^\n]*\}|(?:\s*- [^\n]*)+)"
)
# Not in the midst of a word, as in `java.base/java.io`.
_PATH = re.compile(r"(?<![^\s'\"(\[=:])(/[^\s:'\"]+)")


def explain(table: str, failure: BaseException, where: Location) -> MedallionError:
    """The error to show for a query that failed.

    Args:
        where: the folder that it writes, told where the failure itself names no path.

    A failing disk is worth a retry; what Spark says of data or logic is not; anything
    else is a bug, and says so.
    """
    if isinstance(failure, MedallionError):
        return failure
    text = str(failure)
    for symptom, mend in _STORAGE.items():
        if symptom in text:
            return TransientError(
                f"{table}: the batch failed: {symptom}: {_path_near(text, symptom) or where}",
                untouched="nothing of the batch is visible; it is done again at the next start",
                next_step=f"{mend}, then run again",
            )
    if isinstance(failure, OSError):
        return TransientError(
            f"{table}: {failure.strerror or failure}: {failure.filename or where}",
            untouched="nothing of the batch is visible; it is done again at the next start",
            next_step="mend what it names, then run again",
        )
    if refused := _refused_by_delta(table, text):
        return refused
    if isinstance(failure, PySparkException | Py4JJavaError):
        return DataError(
            f"{table}: the batch failed: {root_cause(failure)}",
            untouched="nothing of the batch is visible; it is done again at the next start",
            next_step="mend what it names, then run again (--log-level error shows all)",
        )
    return MedallionError(
        f"{table}: a bug, not your data: {type(failure).__name__}: {failure}",
        untouched="nothing of the batch is visible; it is done again at the next start",
    )


def _refused_by_delta(table: str, text: str) -> DataError | None:
    """The error for what Delta itself would not read or write; None where it was something else."""
    if "DELTA_SOURCE_TABLE_IGNORE_CHANGES" in text or "DELTA_SOURCE_IGNORE_DELETE" in text:
        return DataError(
            f"{table}: the table that it reads was replaced or changed, not only added to",
            untouched="nothing of the batch is visible",
            next_step=f'make it anew: `medallion checkpoint reset {table} --reason "…" --yes`',
        )
    if broken := _BROKEN_CHECK.search(text):
        name, sql, values = broken.groups()
        told = ", ".join(line.strip(" -") for line in values.strip().splitlines())
        return DataError(
            f"{table}: a row breaks the check {name} {sql.strip()}: {told[:_LONGEST]}",
            untouched="nothing of the batch is visible; it is done again at the next start",
            next_step="let an expectation quarantine such rows, or mend `layout.checks` of the "
            "table in the config; then run again",
        )
    return None


def root_cause(failure: BaseException) -> str:
    """The root of a failure in one line: Spark wraps it several times, the last is the cause."""
    # Py4J begins with a line of its own, and puts a colon before the first of Java.
    lines = (line.strip().removeprefix(": ") for line in str(failure).splitlines())
    told = [x for x in lines if x and not x.startswith("An error occurred while calling")]
    roots = [line.removeprefix("Caused by: ") for line in told if line.startswith("Caused by: ")]
    return ((roots or told or [type(failure).__name__])[-1 if roots else 0])[:500]


def _path_near(text: str, symptom: str) -> str | None:
    """The path in the line that has the symptom, or in any line."""
    line = next(line for line in text.splitlines() if symptom in line)
    found = _PATH.search(line) or _PATH.search(text)
    return found.group(1) if found else None
