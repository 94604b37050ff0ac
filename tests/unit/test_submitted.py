"""The line to type where a submitted job has another Delta."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime import submitted
from medallion_jobs.runtime.jars import DELTA
from medallion_jobs.runtime.submitted import DELTA_CATALOG, DELTA_EXTENSION, refuse_other_delta

OURS = [f"/jars/{jar.file}" for jar in DELTA]


class Loader:
    """The class loader of a JVM that has one class, in this jar."""

    def __init__(self, jar: str | None) -> None:
        self._jar = jar

    def getResource(self, name: str) -> object:  # noqa: N802 (Java's name)
        return None if self._jar is None else Url(f"jar:file:{self._jar}!/{name}")


class Url:
    def __init__(self, text: str) -> None:
        self._text = text

    def toString(self) -> str:  # noqa: N802 (Java's name)
        return self._text


def refused(jar: str | None, *typed: str, monkeypatch: pytest.MonkeyPatch) -> UsageError | None:
    monkeypatch.setattr(submitted, "_loader", lambda _: Loader(jar))
    monkeypatch.setattr(submitted, "_typed", lambda: list(typed))
    monkeypatch.setattr(submitted, "delta_jars", lambda: [Path(one) for one in OURS])
    try:
        refuse_other_delta(None)
    except UsageError as error:
        return error
    return None


@pytest.mark.parametrize(
    "jar",
    [
        None,
        "/a/delta-spark_4.2_2.13-4.4.0.jar",
        "/a/delta-spark_4.2_2.13-4.4.1.jar",
        "/a/io.delta_delta-spark_4.2_2.13-4.4.0.jar",
        "/a%20b/delta-spark_4.2_2.13-4.4.0.jar",
        "/a/our-own-shaded.jar",
    ],
)
def test_the_same_delta_or_an_unknown_name_is_taken(
    jar: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(jar, monkeypatch=monkeypatch) is None


@pytest.mark.parametrize(
    "jar",
    [
        "delta-spark_4.2_2.12-4.4.0.jar",
        "delta-spark_4.0_2.13-4.4.0.jar",
        "delta-spark_4.2_2.13-4.3.0.jar",
        "delta-spark_2.13-3.3.2.jar",
        "delta-core_2.12-2.4.0.jar",
    ],
)
def test_the_line_has_what_was_typed_and_our_delta(
    jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = refused(
        f"/a/{jar}",
        *("--master", "spark://h:7077", "--conf", f"spark.sql.extensions={DELTA_EXTENSION}"),
        *("--jars", f"/a/{jar},/a/delta-storage-3.0.0.jar,/my/own.jar"),
        *("--packages", f"io.delta:{jar.removesuffix('.jar')}:1,org.other:thing:2"),
        *("--verbose", "--conf", "spark.jars=/x/y.jar", "--conf", "spark.a=b c"),
        *("jobs dir/bronze.py", "--config", "conf/sales.yaml", "--set", "storage.root=/a b"),
        monkeypatch=monkeypatch,
    )
    assert error is not None
    assert f"the submitted Delta is {jar}" in error.what
    assert shlex.split(error.next_step or "") == [
        *("spark-submit", "--jars", ",".join([*OURS, "/my/own.jar", "/x/y.jar"])),
        *("--conf", f"spark.sql.extensions={DELTA_EXTENSION}"),
        *("--conf", f"spark.sql.catalog.spark_catalog={DELTA_CATALOG}"),
        *("--master", "spark://h:7077", "--packages", "org.other:thing:2", "--verbose"),
        *("--conf", "spark.a=b c"),
        *("jobs dir/bronze.py", "--config", "conf/sales.yaml", "--set", "storage.root=/a b"),
    ]


def test_no_secret_is_in_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(
        "/a/delta-core_2.12-2.4.0.jar",
        *("--conf", "spark.hadoop.fs.s3a.secret.key=hush", "bronze.py"),
        monkeypatch=monkeypatch,
    )
    assert error is not None
    assert "hush" not in str(error)
