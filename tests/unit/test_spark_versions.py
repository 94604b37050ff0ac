"""Which jars go with which Spark, and what is said where there are none."""

from __future__ import annotations

import pytest

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime import jars, pinned


def test_there_is_a_delta_for_the_installed_spark() -> None:
    assert pinned.SPARK in pinned.DELTA_FOR
    assert pinned.DELTA[0].artifact == f"delta-spark_{pinned.SPARK}_2.13"
    assert all(len(jar.sha256) == 64 for jar in pinned.ALL)


@pytest.mark.parametrize(
    ("version", "wanted", "what"),
    [
        ("4.3", pinned.DELTA, "runs on Spark 4.0, 4.1, 4.2, and pyspark 4.3 is installed"),
        ("3.5", pinned.DELTA, "runs on Spark 4.0, 4.1, 4.2, and pyspark 3.5 is installed"),
        ("4.0", (*pinned.DELTA, *pinned.KAFKA), "are those of Spark 4.2, and pyspark 4.0"),
        ("4.1", pinned.S3A, "are those of Spark 4.2, and pyspark 4.1"),
    ],
)
def test_another_spark_is_refused_before_anything_is_fetched(
    version: str, wanted: tuple[pinned.Jar, ...], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "SPARK", version)
    with pytest.raises(UsageError, match=what) as refused:
        jars.delta_jars(wanted)
    assert refused.value.code == "other_spark"
    assert "pip install pyspark==4.2.0" in refused.value.next_step
