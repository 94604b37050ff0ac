"""A run's JVM reads the archive of classes, and is in the zone in which Delta does least."""

from __future__ import annotations

import re
from pathlib import Path

from support.lake import Lake
from support.processes import SHORT_LIVED, Medallion

from medallion_jobs.runtime.class_archive import ClassArchive
from medallion_jobs.runtime.java import find_java

MOST_FROM_JARS = 0.05


def test_a_run_takes_its_classes_from_the_archive(lake: Lake, tmp_path: Path) -> None:
    ClassArchive(find_java()).make()
    lake.generate(2, rows=20)
    zone = {"TZ": "Europe/Berlin"}
    options = f"{SHORT_LIVED} -Xlog:class+load:file={tmp_path}/loaded-%p.txt"
    with Medallion(lake, "run", "--progress", "json", JDK_JAVA_OPTIONS=options, **zone) as run:
        assert run.wait() == 0, run.text
        told = run.text
    # Spark's script starts a small JVM of its own first.
    loaded = max(tmp_path.glob("loaded-*.txt"), key=lambda file: file.stat().st_size).read_text()
    shared = loaded.count(" source: shared objects file")
    from_jars = len(re.findall(r" source: file:.*\.jar", loaded))
    assert shared > 15_000
    assert from_jars < MOST_FROM_JARS * shared
    others = [line for line in told.splitlines() if not line.startswith(("{", "NOTE", "WARNING"))]
    assert others == []
