"""Keyed tables whose result depends on neither the order nor the slicing of what arrives.

Each key of a table is a case of its own, so few batches try many histories.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.written import Written

DDL = "id int, at int, v string"
OPERATION = "op string"


class Change(NamedTuple):
    """One change of a key; `op` D deletes it."""

    id: int | None
    at: int
    v: str | None
    op: str


Row = tuple[Any, ...]


def histories(choice: random.Random, keys: int, deletes: bool) -> list[Change]:
    """Changes of some keys, one of them null; no two of a key at one moment."""
    made = []
    for key in (None, *range(keys - 1)):
        for at in choice.sample(range(10), choice.randint(1, 6)):
            gone = deletes and choice.random() < 0.3
            made.append(Change(key, at, f"{key} at {at}", "D" if gone else "U"))
    return made


def slices(choice: random.Random, changes: list[Change], batches: int) -> list[list[Change]]:
    """The changes in any order, some of them twice or more, in that many batches."""
    arriving = changes + choice.choices(changes, k=len(changes) // 3)
    choice.shuffle(arriving)
    cuts = sorted(choice.sample(range(len(arriving) + 1), batches - 1))
    return [arriving[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]


def by_key(changes: list[Change]) -> Iterator[list[Change]]:
    for key in {change.id for change in changes}:
        yield sorted({c for c in changes if c.id == key}, key=lambda c: c.at)


def upserted(changes: list[Change], how: str | None) -> list[Row]:
    """What an upsert comes to, by its definition."""
    rows: list[Row] = []
    for history in by_key(changes):
        newest, live = history[-1], [c for c in history if c.op != "D"]
        if how is None:
            rows.append(newest[:3])
        elif how == "hard":
            rows += [newest[:3]] if newest.op != "D" else []
        else:
            shown = live[-1] if live else newest
            known = live[-1].at if live else None
            rows.append((newest.id, newest.at, shown.v, newest.op == "D", known))
    return sorted(rows, key=repr)


def histories_of(changes: list[Change], how: str | None) -> list[Row]:
    """What scd2 comes to, by its definition."""
    rows: list[Row] = []
    for history in by_key(changes):
        graves = [c.at for c in history if c.op == "D"]
        alive = history
        if how == "hard":
            alive = [c for c in history if c.at > max(graves, default=-1)]
        ends = [*(c.at for c in alive[1:]), None][: len(alive)]
        for change, end in zip(alive, ends, strict=True):
            gone = how == "soft" and change.op == "D"
            to = change.at if gone else end
            marks = (gone,) if how == "soft" else ()
            rows.append((*change[:3], change.at, to, to is None, *marks))
    return sorted(rows, key=repr)


def keyed(spark: Any, folder: Path, write: str, how: str | None) -> Written:
    settings: dict[str, Any] = {"write": write, "keys": "id", "sequence": "at"}
    if how:
        settings["deletes"] = {"when": "op = 'D'", "how": how}
    return Written(spark, folder / "silver" / f"{write}_{how}", DDL, settings, OPERATION)


def check(spark: Any, folder: Path, write: str, how: str | None, seed: int, *size: int) -> None:
    choice = random.Random(f"{write} {how} {seed}")
    keys, batches = size
    changes = histories(choice, keys, deletes=how is not None)
    table = keyed(spark, folder, write, how)
    rows = 0
    for arriving in slices(choice, changes, batches):
        outcome = table.write(*arriving)
        assert outcome.written
        rows += outcome.rows_out - outcome.deleted
        assert min(outcome.repeated, outcome.ignored, outcome.updated) >= 0
    expected = (upserted if write == "upsert" else histories_of)(changes, how)
    assert table.rows() == expected, f"seed {seed}"
    assert rows == len(expected)


WAYS = [(write, how) for write in ("upsert", "scd2") for how in (None, "soft", "hard")]


@pytest.mark.parametrize(("write", "how"), [("upsert", "hard"), ("scd2", "soft")])
def test_order_slices_and_repeats_do_not_matter(
    spark: Any, tmp_path: Path, write: str, how: str
) -> None:
    check(spark, tmp_path, write, how, 1, 120, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("write", "how"), WAYS)
@pytest.mark.parametrize("seed", range(1, 10))
def test_order_slices_and_repeats_do_not_matter_in_many_seeds(
    spark: Any, tmp_path: Path, write: str, how: str | None, seed: int
) -> None:
    check(spark, tmp_path, write, how, seed, 300, 8)


def test_what_a_batch_did_to_a_history_is_counted(spark: Any, tmp_path: Path) -> None:
    table = keyed(spark, tmp_path, "scd2", "hard")
    table.write(*(Change(1, at, "v", "U") for at in (2, 6)), Change(2, 1, "v", "U"))
    late = Change(1, 4, "late", "U")
    outcome = table.write(late, late, Change(1, 6, "v", "U"), Change(2, 3, None, "D"))
    assert (outcome.rows_out, outcome.updated, outcome.deleted) == (1, 1, 1)
    assert (outcome.repeated, outcome.ignored) == (2, 0)
    assert table.write(Change(2, 2, "too old", "U")).ignored == 1
    assert table.rows("id", "valid_from", "valid_to") == [(1, 2, 4), (1, 4, 6), (1, 6, None)]
