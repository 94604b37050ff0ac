"""Delta's log as Spark writes it, read without Spark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs.lake.tables import commits, files_since
from medallion_jobs.refine.lookup import changed_files
from medallion_jobs.sinks.postgres.changed import none_changed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_statistics_that_hold_what_unicode_takes_for_the_end_of_a_line(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "t"
    for place in range(2):
        rows = spark.createDataFrame([(place, f"a\u0085b\u2028c{place}")], "id int, note string")
        rows.coalesce(1).write.format("delta").mode("append").save(str(path))
    text = (path / "_delta_log" / f"{1:020}.json").read_text(encoding="utf-8")
    assert "\u0085" in text
    assert [commit.added[0].rows for commit in commits(path, 0)] == [1, 1]
    found = changed_files(path, 0, 1, ["id"])
    assert found is not None
    assert len(found.data) == 1
    assert not none_changed(path, 0, 1)
    assert files_since(path) == 2
