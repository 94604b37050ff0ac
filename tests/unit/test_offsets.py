"""How far a query has read: from its checkpoint and the source's log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.schema import Field, PrimitiveType
from lakes import offset, write_table

from medallion_jobs.checkpoint import Binding, Checkpoint, Logic
from medallion_jobs.checkpoint.offsets import Amount, DeltaOffsets, Offset
from medallion_jobs.checkpoint.source_changes import OnChange


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


def has_read(checkpoint: Checkpoint, source: Path) -> None:
    """A query has read all versions there are, and finished its batch."""
    plan_batches(checkpoint, offset(DeltaTable(source).version() + 1))
    (checkpoint.path / "commits").mkdir(exist_ok=True)
    (checkpoint.path / "commits" / "0").touch()


def bound_to(source: Path) -> Binding:
    found = DeltaOffsets(source).identity()
    assert found
    return Binding(source="silver.x", source_id=found, target_id="t", logic=Logic())


def codes(checkpoint: Checkpoint, source: Path, on_change: OnChange = "fail") -> list[str]:
    offsets = DeltaOffsets(source, "silver.x", on_change)
    return [fault.code for fault in offsets.faults(checkpoint, bound_to(source))]


def merge_into(source: Path, *, insert: bool) -> None:
    rows = pa.table({"n": pa.array([1, 99], pa.int64())})
    merged = DeltaTable(source).merge(rows, "t.n = s.n", source_alias="s", target_alias="t")
    merged = merged.when_matched_update({"n": "s.n + 1000"})
    (merged.when_not_matched_insert({"n": "s.n"}) if insert else merged).execute()


# What another program does: whether a query of new rows is refused, and whether it is still
# refused if it keeps its rows, since the commit may have added some.
OF_OTHERS: dict[str, tuple[Callable[[Path], object], bool, bool]] = {
    "append": (lambda source: write_table(source, 2), False, False),
    "compact": (lambda source: DeltaTable(source).optimize.compact(), False, False),
    "add a column": (
        lambda source: DeltaTable(source).alter.add_columns(Field("m", PrimitiveType("long"))),
        False,
        False,
    ),
    "delete": (lambda source: DeltaTable(source).delete("n = 1"), True, False),
    "delete all": (lambda source: DeltaTable(source).delete(), True, False),
    "delete nothing": (lambda source: DeltaTable(source).delete("n = -1"), False, False),
    "update": (
        lambda source: DeltaTable(source).update(updates={"n": "n + 50"}, predicate="n = 1"),
        True,
        False,
    ),
    "merge": (lambda source: merge_into(source, insert=False), True, False),
    "merge that inserts": (lambda source: merge_into(source, insert=True), True, True),
    "overwrite": (
        lambda source: write_deltalake(source, pa.table({"n": [7]}), mode="overwrite"),
        True,
        True,
    ),
    "restore": (lambda source: DeltaTable(source).restore(0), True, True),
}


@pytest.mark.parametrize("what", OF_OTHERS)
def test_which_changes_of_a_source_are_refused(
    checkpoint: Checkpoint, tmp_path: Path, what: str
) -> None:
    does, refused, refused_by_keep = OF_OTHERS[what]
    source = tmp_path / "source"
    for rows in (3, 4):
        write_table(source, rows)
    has_read(checkpoint, source)
    does(source)
    assert codes(checkpoint, source) == ["source_rows_changed"] * refused
    assert codes(checkpoint, source, "keep") == ["source_rows_changed"] * refused_by_keep
    assert codes(checkpoint, source, "follow") == []
    # What came before the query's position is no matter.
    has_read(checkpoint, source)
    assert codes(checkpoint, source) == []


def test_a_refused_change_is_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_table(source, 3)
    has_read(checkpoint, source)
    write_table(source, 3)
    DeltaTable(source).delete("n = 1")
    (fault,) = DeltaOffsets(source, "silver.x").faults(checkpoint, bound_to(source))
    assert "rows of silver.x were changed or removed: DELETE in version 2, 20" in fault.reason
    assert "UTC, by delta-rs" in fault.reason
    assert "on_source_change: keep" in fault.next_step
    assert fault.needs_rebuild


def test_a_skipped_commit_counts_for_nothing(checkpoint: Checkpoint, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_table(source, 3)
    has_read(checkpoint, source)
    DeltaTable(source).delete("n = 1")  # adds its file again, with two rows
    write_table(source, 5)
    offsets = DeltaOffsets(source, "silver.x", "keep")
    assert offsets.backlog(checkpoint) == Amount(1, 5)
    (checkpoint.path / "offsets" / "1").write_text(offset(3))
    assert offsets.progress(checkpoint, 1) == (Amount(1, 5), Amount(0, 0))
    assert [commit.version for commit in offsets.skipped(checkpoint, 1)] == [1]
    merge_into(source, insert=True)
    (checkpoint.path / "offsets" / "2").write_text(offset(4))
    (found,) = offsets.refuse_skipped(offsets.skipped(checkpoint, 2))
    assert found.code == "source_rows_changed"
    assert "MERGE in version 3" in found.reason


def test_a_log_that_was_cleaned_up(checkpoint: Checkpoint, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_table(source, 3)
    has_read(checkpoint, source)
    for _ in range(3):
        write_table(source, 1)
    DeltaTable(source).create_checkpoint()
    for version in range(3):
        (source / "_delta_log" / f"{version:020}.json").unlink()
    for on_change in ("fail", "keep", "follow"):
        assert codes(checkpoint, source, on_change) == ["source_log_gone"]
    has_read(checkpoint, source)
    assert codes(checkpoint, source) == []


@pytest.mark.parametrize("in_snapshot", [False, True])
def test_a_file_that_was_vacuumed_before_it_was_read(
    checkpoint: Checkpoint, tmp_path: Path, *, in_snapshot: bool
) -> None:
    source = tmp_path / "source"
    write_table(source, 3)
    write_table(source, 4)
    has_read(checkpoint, source)
    if in_snapshot:
        plan_batches(checkpoint, offset(1, 0, in_snapshot=True))
    else:
        for _ in range(2):
            write_table(source, 1)
    offsets = DeltaOffsets(source, "silver.x")
    table = DeltaTable(source)
    table.optimize.compact()
    assert list(offsets.gone(checkpoint)) == []
    table.vacuum(0, enforce_retention_duration=False, dry_run=False)
    (fault,) = offsets.gone(checkpoint)
    assert fault.code == "source_files_gone"
    assert f"of version {1 if in_snapshot else 2} is gone" in fault.reason
    # A file of the newest version is no matter of cleaning up, and a rebuild would not help.
    has_read(checkpoint, source)
    write_table(source, 2)
    newest = max(source.glob("*.parquet"), key=lambda file: file.stat().st_mtime_ns)
    newest.unlink()
    assert list(offsets.gone(checkpoint)) == []
