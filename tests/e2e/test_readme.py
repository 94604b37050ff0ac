"""README's commands, typed one after the other in a folder that has only the configs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from support.pages import ROOT, commands, words
from support.processes import PATIENCE

# Each has a test of its own in this tier; here they would only start one more JVM each.
ELSEWHERE = {
    "medallion init shop --from FOLDER",
    "medallion run",
    "medallion run bronze",
    "medallion run --continuous",
    "medallion stop",
    "medallion validate --config conf/sales.yaml",
    # tests/spark/test_silver_rules.py and test_late_dimensions.py run these.
    'medallion quarantine replay silver.sales --set-column "quantity=1" --yes',
    "medallion replay silver --missed-lookup customers --yes",
    # In a store: tests/recovery/test_objects.py.
    "medallion run --set storage.root=s3a://BUCKET/lake --set landing.root=s3a://BUCKET/in",
    # Of another pipeline: tests/spark/test_pipelines.py runs these.
    "medallion generate --config conf/transactions.yaml",
    "medallion run --config conf/transactions.yaml",
}


def test_the_commands_of_the_readme_work(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "medallion.yaml").symlink_to("conf/sales.yaml")  # as in the repository
    shown = list(dict.fromkeys(commands(ROOT / "README.md")))
    own = [command for command in shown if command not in ELSEWHERE]
    generate = next(command for command in own if command.startswith("medallion generate"))
    destroy = next(command for command in shown if command.startswith("medallion destroy"))
    between = [
        command
        for command in shown
        if command.startswith("medallion ") and command not in {*ELSEWHERE, generate, destroy}
    ]
    assert len(between) >= 6
    for command in (generate, "medallion run --progress json", *between, destroy):
        done = subprocess.run(
            [sys.executable, "-m", "medallion_jobs", *words(command)[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    # Beside the config, the drawing that the README has made.
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "conf",
        "medallion.yaml",
        "sales.html",
    ]
