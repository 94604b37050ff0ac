"""What becomes of a failure of Spark: an error that may pass, or one that does not."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from py4j.protocol import Py4JNetworkError
from pyspark.errors import PySparkException

from medallion_jobs.engine.failures import explain
from medallion_jobs.errors import DataError, TransientError

# As Spark, Kafka, Hadoop and Delta have them.
PASSING = {
    "SparkException: Job aborted.\nCaused by: java.net.ConnectException: refused": "network_failed",
    "Caused by: org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node "
    "assignment. Call: describeTopics": "network_failed",
    "software.amazon.awssdk.services.s3.model.S3Exception: Please reduce your request rate. "
    "(Service: S3, Status Code: 503, Request ID: X)": "network_failed",
    "Caused by: software.amazon.awssdk.core.exception.SdkClientException: Unable to execute HTTP "
    "request: Connect to 127.0.0.1:9 failed": "network_failed",
    "Task 0 in stage 3.0 failed 4 times, most recent failure: Lost task 0.3 in stage 3.0 (TID 7) "
    "(host executor 2): ExecutorLostFailure (executor 2 exited caused by one of the running "
    "tasks)": "executor_lost",
    "Caused by: java.lang.OutOfMemoryError: Java heap space": "executor_lost",
    "io.delta.exceptions.MetadataChangedException: [DELTA_METADATA_CHANGED] The metadata has "
    "been changed by a concurrent update.": "other_writer",
    "[DELTA_CONCURRENT_APPEND] ConcurrentAppendException: Files were added": "other_writer",
    "java.io.IOException: No space left on device": "storage_failed",
    "java.io.IOException: Mkdirs failed to create file:/lake/x (exists=false)": "storage_failed",
}
STAYING = (
    '[CAST_INVALID_INPUT] The value \'x1\' of the type "STRING" cannot be cast to "BIGINT"',
    "awssdk.services.s3.model.S3Exception: Access Denied (Service: S3, Status Code: 403, "
    "Request ID: X)",
    "Caused by: java.lang.ArithmeticException: divide by zero",
)


@pytest.mark.parametrize("text", PASSING)
def test_what_may_pass_exits_with_75(text: str) -> None:
    error = explain("silver.x", PySparkException(text), Path("/lake"))
    assert isinstance(error, TransientError)
    assert error.code == PASSING[text]
    assert error.what.startswith("silver.x: ")
    assert error.untouched
    assert "run again" in error.next_step


@pytest.mark.parametrize("text", STAYING)
def test_what_stays_does_not(text: str) -> None:
    error = explain("silver.x", PySparkException(text), Path("/lake"))
    assert isinstance(error, DataError)
    assert error.code == "batch_failed"


def test_a_cause_counts_that_the_text_does_not_show() -> None:
    failure = PySparkException("Query silver.x terminated with exception: it failed")
    cause = PySparkException("java.util.concurrent.ExecutionException: it failed")
    cause._cause = PySparkException("java.net.ConnectException: refused")  # type: ignore[attr-defined]
    failure._cause = cause  # type: ignore[attr-defined]
    error = explain("silver.x", failure, Path("/lake"))
    assert error.code == "network_failed"
    assert error.what.endswith("java.net.ConnectException: refused")


def test_the_end_of_the_jvm_and_of_a_disk() -> None:
    ended = explain("silver.x", Py4JNetworkError("Answer from Java side is empty"), Path("/lake"))
    assert (ended.code, ended.exit_code) == ("jvm_ended", 75)
    disk = OSError(errno.ESTALE, "Stale file handle", "/lake/x")
    assert explain("silver.x", disk, Path("/lake")).code == "batch_failed_by_system"
