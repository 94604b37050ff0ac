"""What may not start on a finished lake: refused with a reason, mended by the command it names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.exact import assert_exact
from support.lake import Lake, snapshot_of
from support.processes import completed

GOLD = "gold.sales_by_region_day"
MEND = re.compile(rf"`medallion (checkpoint reset {re.escape(GOLD)}) --reason ")
MAX = f"{GOLD}.measures.total_quantity=max(quantity)"


@pytest.fixture(scope="module")
def run_twice(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A finished lake of two batches a layer; beside it, gold's checkpoint after the first."""
    lake = Lake.at(tmp_path_factory.mktemp("twice"))
    lake.generate(2, dirty=0.1)
    lake.run()
    shutil.copytree(_checkpoint(lake), lake.storage.parent / "earlier")
    lake.generate(4, dirty=0.1)
    lake.run()
    return lake


@pytest.fixture
def finished(run_twice: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(run_twice.storage.parent / "earlier", tmp_path / "earlier")
    return run_twice.copy(tmp_path)


def _table_removed(lake: Lake) -> Lake:
    shutil.rmtree(lake.path(GOLD))
    return lake


def _checkpoint_removed(lake: Lake) -> Lake:
    shutil.rmtree(_checkpoint(lake))
    return lake


def _checkpoint_and_manifest_removed(lake: Lake) -> Lake:
    shutil.rmtree(_checkpoint(lake).parent)
    return lake


def _earlier_checkpoint_put_back(lake: Lake) -> Lake:
    shutil.rmtree(_checkpoint(lake))
    shutil.copytree(lake.storage.parent / "earlier", _checkpoint(lake))
    return lake


def _sum_became_max(lake: Lake) -> Lake:
    return lake.having(MAX)


GONE = "its checkpoint is gone"


# Those that the README names; the others with `-m slow`.
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_table_removed, "its table was removed"),
        pytest.param(_checkpoint_removed, GONE, marks=pytest.mark.slow),
        pytest.param(_checkpoint_and_manifest_removed, GONE, marks=pytest.mark.slow),
        (_earlier_checkpoint_put_back, "an older checkpoint was restored"),
        (_sum_became_max, r"'sum\(quantity\)' became 'max\(quantity\)'"),
    ],
)
def test_refused_with_a_reason_until_it_is_mended(
    finished: Lake, harm: Callable[[Lake], Lake], reason: str
) -> None:
    lake = harm(finished)
    before = _untouched(lake)

    code, said = completed(lake, "run", "gold")

    assert code == 1, said
    assert re.search(rf"{re.escape(GOLD)} was not started: .*{reason}", said), said
    assert _untouched(lake) == before

    mend = MEND.search(said)
    assert mend, said
    code, said = completed(lake, *mend[1].split(), "--reason", "it was refused", "--yes")
    assert code == 0, said
    lake.run()
    assert_exact(lake, layers=["bronze", "silver"])
    if harm is _sum_became_max:
        assert _gold(lake) == _largest_in_silver(lake)
    else:
        assert_exact(lake, layers=["gold"])


def _untouched(lake: Lake) -> dict[str, tuple[int, int]]:
    """All that a refused run leaves as it is: everything but the records of runs."""
    runs = "_medallion/runs"
    found = snapshot_of(lake.storage)
    return {path: stat for path, stat in found.items() if not path.startswith(runs)}


def _checkpoint(lake: Lake) -> Path:
    return lake.checkpoints.joinpath(*GOLD.split("."), "v1")


def _gold(lake: Lake) -> dict[object, int | None]:
    return {(r["region"], r["order_date"]): r["total_quantity"] for r in lake.rows(GOLD)}


def _largest_in_silver(lake: Lake) -> dict[object, int | None]:
    largest: dict[object, int | None] = {}
    for row in lake.rows("silver.sales"):
        group = row["region"], row["order_date"]
        known = [q for q in (largest.get(group), row["quantity"]) if q is not None]
        largest[group] = max(known, default=None)
    return largest
