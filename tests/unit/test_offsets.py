"""How far a query has read: from its checkpoint and the source's log."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable
from lakes import offset, write_table

from medallion_jobs.checkpoint import Checkpoint
from medallion_jobs.checkpoint.offsets import Amount, DeltaOffsets, Offset


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, to be read only, whose versions 0 to 3 added 1, 2, 4 and 8 rows, a file each."""
    table = tmp_path_factory.mktemp("source")
    for version in range(4):
        write_table(table, rows=2**version)
    return table


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    (tmp_path / "v1" / "offsets").mkdir(parents=True)
    return Checkpoint(tmp_path / "v1", "silver.x/v1")


def plan_batches(checkpoint: Checkpoint, *offsets: str) -> None:
    for batch, text in enumerate(offsets):
        (checkpoint.path / "offsets" / str(batch)).write_text(text)


def test_before_the_first_batch_all_is_left(checkpoint: Checkpoint, source: Path) -> None:
    assert DeltaOffsets(source).backlog(checkpoint) == Amount(4, 15)


def test_without_a_source_nothing_is_left(checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert DeltaOffsets(tmp_path / "none").backlog(checkpoint) == Amount(0, 0)


def test_a_position_is_read_from_the_offset(checkpoint: Checkpoint) -> None:
    plan_batches(checkpoint, offset(3, 7, in_snapshot=True))
    assert Offset.after(checkpoint, 0) == Offset(3, 7, True)
    assert Offset.after(checkpoint, -1) is None


@pytest.mark.parametrize(
    ("reached", "left"),
    [
        (offset(0), Amount(4, 15)),
        (offset(0, 0), Amount(3, 14)),
        (offset(1), Amount(3, 14)),
        (offset(3), Amount(1, 8)),
        (offset(4), Amount(0, 0)),
        # The snapshot is version 1 as a whole: both its files, then versions 2 and 3.
        (offset(1, -1, in_snapshot=True), Amount(4, 15)),
        (offset(1, 0, in_snapshot=True), Amount(3, 14)),
        (offset(1, 1, in_snapshot=True), Amount(2, 12)),
        (offset(3, 3, in_snapshot=True), Amount(0, 0)),
    ],
)
def test_what_is_left_after_a_position(
    checkpoint: Checkpoint, source: Path, reached: str, left: Amount
) -> None:
    plan_batches(checkpoint, reached)
    assert DeltaOffsets(source).backlog(checkpoint) == left


def test_what_a_batch_took_and_left(checkpoint: Checkpoint, source: Path) -> None:
    plan_batches(checkpoint, offset(1), offset(3), offset(4))
    assert DeltaOffsets(source).progress(checkpoint, 0) == (Amount(1, 1), Amount(3, 14))
    assert DeltaOffsets(source).progress(checkpoint, 1) == (Amount(2, 6), Amount(1, 8))
    assert DeltaOffsets(source).progress(checkpoint, 2) == (Amount(1, 8), Amount(0, 0))


def test_a_commit_without_rows_is_no_backlog(checkpoint: Checkpoint, tmp_path: Path) -> None:
    plan_batches(checkpoint, offset(1))
    for rows in (1, 0):
        write_table(tmp_path / "source", rows)
    assert DeltaOffsets(tmp_path / "source").backlog(checkpoint).rows == 0


def test_a_batch_is_empty_if_its_commits_add_no_rows(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    for rows in (1, 2):
        write_table(source, rows)
    newest = DeltaTable(source).version()
    DeltaTable(source).optimize.compact()
    write_table(source, 1)
    plan_batches(
        checkpoint,
        offset(newest + 1),
        offset(newest + 2),  # the OPTIMIZE
        offset(newest + 2),
        offset(newest + 3),  # the row
        offset(newest + 4),  # a version that the log does not have
        offset(newest + 4, 0),
        offset(newest + 5, in_snapshot=True),
    )
    found = [DeltaOffsets(source).is_empty(checkpoint, batch) for batch in range(7)]
    assert found == [False, True, True, False, False, False, False]


def test_what_a_batch_takes_in_words(checkpoint: Checkpoint, source: Path) -> None:
    plan_batches(checkpoint, offset(2, in_snapshot=True), offset(3), offset(4), offset(4, 1))
    taken = [DeltaOffsets(source, "silver.x").takes(checkpoint, batch) for batch in range(4)]
    assert taken == [
        ("silver.x as of version 2",),
        ("silver.x as of version 2",),
        ("silver.x, version 3",),
        ("silver.x, version 4",),
    ]
