"""`write: snapshot`: full dumps of a table, in order, late, again, empty and in half."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from medallion_jobs.errors import DataError
from medallion_jobs.testing import LakeHarness

CONFIG = """\
pipeline: dumps
bronze:
  customers:
    source:
      format: csv
      options: {{header: true}}
      schema: id int, name string, city string
silver:
  customers:
    from: bronze.customers
    columns:
      day: to_date(nullif(regexp_extract(_input_file, '([0-9]{{4}}-[0-9-]+)[.]csv', 1), ''))
    select: [id, name, city]
    expect: {{named: {{not_null: name, otherwise: quarantine}}}}
    write: snapshot
    snapshot:
      keys: id
      dump: day
      stored_as_scd_type: {kind}
      max_missing: 60%
"""
Row = tuple[int, str, str]
Dump = dict[int, Row]


def lake_of(folder: Path, kind: int, *settings: str) -> LakeHarness:
    path = folder / "dumps.yaml"
    path.write_text(CONFIG.format(kind=kind))
    return LakeHarness.of(path, folder, *settings)


def land(lake: LakeHarness, day: int, rows: Iterable[Row], name: str = "") -> None:
    lines = ["id,name,city", *(",".join(map(str, row)) for row in rows)]
    lake.drop("customers", f"{name}2026-01-{day:02}.csv", *lines, age=10_000 - day)


def dumps(choice: random.Random, days: int) -> list[Dump]:
    """Dumps of each day: customers change, leave and come back."""
    now: Dump = {key: (key, f"name {key}", "Rome") for key in range(20)}
    found = []
    for _ in range(days):
        now = dict(now)
        for key in choice.sample(range(25), 4):
            if key in now and choice.random() < 0.4:
                del now[key]
            else:
                now[key] = (key, f"name {choice.randrange(3)}", choice.choice(["Rome", "Oslo"]))
        found.append(now)
    return found


def versions(found: list[Dump]) -> list[tuple[Any, ...]]:
    """What the dumps come to with SCD type 2, by definition."""
    rows: list[tuple[Any, ...]] = []
    for key in {key for dump in found for key in dump}:
        opened: tuple[Row, int] | None = None
        for day, dump in enumerate(found, 1):
            row = dump.get(key)
            if opened and row != opened[0]:
                rows.append((*opened[0], opened[1], day))
                opened = None
            if row and not opened:
                opened = (row, day)
        if opened:
            rows.append((*opened[0], opened[1], None))
    return sorted(rows, key=repr)


def stored(lake: LakeHarness) -> list[tuple[Any, ...]]:
    def day(value: Any) -> Any:
        return value.day if value else None

    return sorted(
        (
            (*(row[c] for c in ("id", "name", "city")),)
            + ((day(row["__START_AT"]), day(row["__END_AT"])) if "__START_AT" in row else ())
            for row in lake.rows("silver.customers")
        ),
        key=repr,
    )


@pytest.mark.parametrize("kind", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_thirty_days_in_order_late_and_again(spark: Any, tmp_path: Path, kind: int) -> None:
    made = dumps(random.Random(kind), 30)
    lake = lake_of(tmp_path, kind)
    for day in range(1, 13):
        land(lake, day, made[day - 1].values())
    lake.run()
    for day in range(15, 31):
        land(lake, day, made[day - 1].values())
    # These come too late: what they say of the table is not known to be true any more.
    land(lake, 30, made[29].values(), name="again-")
    lake.run()
    land(lake, 13, made[12].values())
    land(lake, 14, made[13].values())
    land(lake, 30, made[29].values(), name="and-again-")
    lake.run()
    applied = [*made[:12], {}, {}, *made[14:]]
    if kind == 1:
        assert stored(lake) == sorted(made[29].values(), key=repr)
    else:
        # A day without a dump is as the day before.
        applied[12] = applied[13] = made[11]
        assert stored(lake) == versions(applied)
    late = lake.quarantined("silver.customers")
    assert len(late) == len(made[12]) + len(made[13])
    assert {rule for row in late for rule in row["rules"]} == {"refused_dump"}
    assert "older than the dump 2026-01-30" in late[0]["reasons"][0]


def test_a_half_dump_and_two_rows_of_one_key_are_refused(spark: Any, tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 2)
    whole = [(key, f"name {key}", "Rome") for key in range(10)]
    land(lake, 1, whole)
    lake.run()
    land(lake, 2, whole[:3])
    lake.run()
    (reason,) = {row["reasons"][0] for row in lake.quarantined("silver.customers")}
    assert "lacks 7 of the 10 keys that the table has (70%), more than max_missing (60%)" in reason
    land(lake, 3, [*whole, (4, "other", "Oslo")])
    lake.run()
    reasons = " ".join(row["reasons"][0] for row in lake.quarantined("silver.customers"))
    assert '1 keys have different rows in it, such as {"id":4}' in reasons
    # A row that breaks a rule says that its key is still there.
    land(lake, 4, [*whole[:4], (4, "", "Rome"), *whole[5:9], (11, "new", "Oslo")])
    lake.run()
    assert stored(lake) == sorted(
        [(*row, 1, 4 if row[0] == 9 else None) for row in whole] + [(11, "new", "Oslo", 4, None)],
        key=repr,
    )
    # What may be missing can change without a reset.
    land(lake, 5, whole[:2])
    lake.run()
    assert len(stored(lake)) == len(whole) + 1
    allowing = LakeHarness.of(
        tmp_path / "dumps.yaml", tmp_path, "silver.customers.snapshot.max_missing=100%"
    )
    land(allowing, 6, whole[:2])
    allowing.run()
    assert [row[0] for row in stored(allowing) if row[-1] is None] == [0, 1]
    failing = LakeHarness.of(
        tmp_path / "dumps.yaml", tmp_path, "silver.customers.snapshot.on_refused=fail"
    )
    land(failing, 7, [*whole[:1], (1, "one", "Rome"), (1, "two", "Rome")])
    with pytest.raises(DataError) as stopped:
        failing.run()
    assert stopped.value.code == "dump_refused"


def test_rows_without_a_key_or_a_mark_are_quarantined(spark: Any, tmp_path: Path) -> None:
    lake = lake_of(
        tmp_path, 1, "silver.customers.expect.has_key={not_null: id, otherwise: quarantine}"
    )
    lake.drop("customers", "2026-01-01.csv", "id,name,city", "1,a,Rome", ",b,Rome")
    lake.drop("customers", "today.csv", "id,name,city", "2,b,Rome")
    lake.run()
    assert stored(lake) == [(1, "a", "Rome")]
    found = sorted((row["rules"], row["reasons"]) for row in lake.quarantined("silver.customers"))
    assert [rules for rules, _ in found] == [["has_key"], ["refused_dump"]]
    assert found[1][1] == ["`snapshot.dump` is null for 1 rows"]
