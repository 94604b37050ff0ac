"""`apply_changes`: the table is a function of the changes, in whatever order they arrive."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from support import change_oracle
from support.change_oracle import Change
from support.written import Written

from medallion_jobs.errors import DataError
from medallion_jobs.refine.write.change_log import ChangeLog

COLUMNS = ("a", "b")
DDL, BESIDE = "id int, a int, b string", "at int, op string, _unavailable array<string>"
SETTINGS: dict[str, Any] = {
    "keys": "id",
    "sequence_by": "at",
    "apply_as_deletes": "op = 'delete'",
    "apply_as_truncates": "op = 'truncate'",
}
Row = tuple[Any, ...]


def histories(choice: random.Random, keys: int, *, truncates: int, partial: bool) -> list[Change]:
    """Changes of some keys, with ties, nulls and deletes."""
    made = [Change(None, choice.randrange(12), "truncate") for _ in range(truncates)]
    for key in range(keys):
        for _ in range(choice.randint(1, 7)):
            at = choice.randrange(12)
            if choice.random() < 0.25:
                made.append(Change(key, at, "delete"))
                continue
            values = {
                "a": choice.choice([None, 1, 2]),
                "b": choice.choice([None, "x", "y", "é"]),
            }
            without = frozenset(n for n in COLUMNS if partial and choice.random() < 0.3)
            values = {n: None if n in without else value for n, value in values.items()}
            made.append(Change(key, at, "upsert", values, without))
    return made


def slices(choice: random.Random, changes: Sequence[Change], batches: int) -> Iterator[list[Row]]:
    """The changes in any order, some of them twice, as rows, in that many batches."""
    arriving = [*changes, *choice.choices(changes, k=len(changes) // 4)]
    choice.shuffle(arriving)
    cuts = sorted(choice.sample(range(len(arriving) + 1), batches - 1))
    for a, b in zip([0, *cuts], [*cuts, None], strict=True):
        yield [
            (c.key, c.values.get("a"), c.values.get("b"), c.at, c.kind, sorted(c.without) or None)
            for c in arriving[a:b]
        ]


def table_of(spark: Any, folder: Path, name: str, **settings: Any) -> Written:
    return Written(
        spark, folder / "silver" / name, DDL, {"apply_changes": {**SETTINGS, **settings}}, BESIDE
    )


def check(spark: Any, folder: Path, keys: int, batches: int, order: int = 0, **how: Any) -> None:
    """Compares one table with the oracle. Each key is a history of its own.

    Args:
        order: which of the orders in which the same changes arrive.
        how: `kind` 1 or 2, `truncates`, `partial`, `tracked`.
    """
    changes = histories(
        random.Random(f"{keys} {how}"), keys, truncates=how["truncates"], partial=how["partial"]
    )
    settings: dict[str, Any] = {"stored_as_scd_type": how["kind"]}
    if tracked := how.get("tracked"):
        settings["track_history_column_list"] = tracked
    table = table_of(spark, folder, "made", **settings)
    rows = 0
    for number, arriving in enumerate(slices(random.Random(order), changes, batches)):
        if number % 2:
            tidy(table)
        done = table.write(*arriving)
        assert done.written
        assert min(done.rows_out, done.updated, done.deleted, done.ignored) >= 0
        rows += done.rows_out - done.deleted
    if how["kind"] == 1:
        expected = change_oracle.current(changes, COLUMNS)
    else:
        expected = change_oracle.versions(changes, COLUMNS, tracked or COLUMNS)
    assert table.rows() == sorted(expected, key=repr), f"order {order}, {how}"
    assert rows == len(expected)
    assert len(expected) >= keys / 5


def tidy(table: Written, days: int = 0) -> int:
    """Tidies the change log some days from now, and gives the number of changes in it."""
    changes = table.table.apply_changes
    assert changes
    log = ChangeLog(table.changes, changes.keys)
    log.tidy(table.spark, changes, datetime.now(timezone.utc) + timedelta(days=days))
    return DeltaTable(table.changes).to_pyarrow_table().num_rows


WAYS = [
    {"kind": 1, "truncates": 0, "partial": False},
    {"kind": 1, "truncates": 2, "partial": True},
    {"kind": 2, "truncates": 0, "partial": False},
    {"kind": 2, "truncates": 2, "partial": True},
    {"kind": 2, "truncates": 1, "partial": True, "tracked": ["a"]},
]


@pytest.mark.parametrize("how", [WAYS[1], WAYS[4]], ids=str)
def test_order_slices_and_repeats_do_not_matter(
    spark: Any, tmp_path: Path, how: dict[str, Any]
) -> None:
    check(spark, tmp_path, 300, 2, **how)


@pytest.mark.slow
@pytest.mark.parametrize("how", WAYS, ids=str)
@pytest.mark.parametrize("order", range(3))
@pytest.mark.parametrize("batches", [1, 3, 6])
def test_order_slices_and_repeats_do_not_matter_for_many_histories(
    spark: Any, tmp_path: Path, how: dict[str, Any], order: int, batches: int
) -> None:
    check(spark, tmp_path, 1_500, batches, order, **how)


def test_a_change_without_key_or_sequence_stops_the_batch_by_name(
    spark: Any, tmp_path: Path
) -> None:
    table = table_of(spark, tmp_path, "nulls")
    with pytest.raises(DataError) as stopped:
        table.write((None, 1, "x", 3, "upsert", None), (2, 1, "x", 3, "upsert", None))
    assert stopped.value.code == "key_missing"
    assert "have no id" in str(stopped.value)
    with pytest.raises(DataError) as stopped:
        table.write((7, 1, "x", None, "upsert", None))
    assert stopped.value.code == "sequence_missing"
    assert "id=7" in str(stopped.value)
    assert table.rows() == []


def test_a_change_log_keeps_what_can_still_matter(spark: Any, tmp_path: Path) -> None:
    def change(key: int, at: int, kind: str = "upsert") -> Row:
        return (key, at, "x", at, kind, None)

    table = table_of(spark, tmp_path, "kept")
    many = [change(1, at) for at in range(10)]
    table.write(*many, change(2, 3), change(2, 4, "delete"), change(3, 5, "delete"))
    table.write(*many)
    # Of key 1 the newest, which has no column that is unknown; of keys 2 and 3 their deletes.
    assert tidy(table) == 3
    table.write(change(1, 8), change(2, 2), change(3, 4))
    assert table.rows() == [(1, 9, "x")], "older changes came too late"
    assert tidy(table, days=31) == 1, "deletes are remembered for 30 days"
    table.write(change(2, 2))
    assert table.rows() == [(1, 9, "x"), (2, 2, "x")], "which the docs say"


def test_a_change_log_of_a_history_keeps_its_deletes(spark: Any, tmp_path: Path) -> None:
    table = table_of(spark, tmp_path, "history", stored_as_scd_type=2)
    table.write((1, 1, "x", 1, "upsert", None), (1, None, None, 4, "delete", None))
    table.write((2, None, None, 4, "delete", None), (None, None, None, 2, "truncate", None))
    assert tidy(table, days=31) == 3
    table.write((1, 1, "x", 3, "upsert", None))
    assert table.rows() == [(1, 1, "x", 1, 2), (1, 1, "x", 3, 4)]


def test_nulls_are_ignored_field_by_field(spark: Any, tmp_path: Path) -> None:
    ddl = "id int, v struct<a int, deep struct<b string, c string>>, list array<int>"
    settings = {**SETTINGS, "sequence_by": ["at", "then"], "ignore_null_updates": True}
    for kind in (1, 2):
        table = Written(
            spark,
            tmp_path / "silver" / f"fields{kind}",
            ddl,
            {"apply_changes": {**settings, "stored_as_scd_type": kind}},
            "at int, then int, op string",
        )
        new = (1, (None, (None, "new")), None, 5, 2, "upsert")
        old = (1, (7, ("old", "old")), [1, None], 5, 1, "upsert")
        table.write(new)
        assert table.rows("id", "v.a", "v.deep.c", "list") == [(1, None, "new", None)]
        table.write(old, (2, None, None, 1, None, "upsert"))
        current = [row for row in table.rows() if kind == 1 or row[-1] is None]
        assert current[0][:3] == (1, (7, ("old", "new")), [1, None])
        assert current[1][:3] == (2, None, None), "nothing is given: the row is there, and null"
        if kind == 2:
            starts = [
                row["__START_AT"]
                for row in spark.read.format("delta")
                .load(str(table.path))
                .orderBy("id", "__START_AT")
                .collect()
            ]
            assert starts == [(5, 1), (5, 2), (1, None)]
