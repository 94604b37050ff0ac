"""How many files a micro-batch takes."""

from __future__ import annotations

from support.exact import assert_exact
from support.lake import Lake, batches, order, run_streams

from medallion_jobs.autoloader import AutoLoader


def test_a_batch_takes_no_more_files_than_allowed_and_the_oldest_first(
    lake: Lake, spark: object
) -> None:
    for age in range(7):
        lake.drop(f"{9 - age}.json", order(order_id=f"o-{age}"), at=age)

    events = lake.having("bronze.sales.source.max_files_per_trigger=3").run("bronze")

    assert [one.files for one in batches(events, "bronze.sales")] == [3, 3, 1]
    assert [one.backlog for one in batches(events, "bronze.sales")] == [4, 1, 0]
    by_batch = {row["order_id"]: row["_load_time"] for row in lake.rows("bronze.sales")}
    assert sorted(by_batch, key=lambda one: (by_batch[one], one)) == [f"o-{n}" for n in range(7)]
    assert_exact(lake, layers=["bronze"])


def test_a_batch_takes_no_more_bytes_than_allowed_but_one_file_at_least(
    lake: Lake, spark: object
) -> None:
    sizes = [400, 400, 3000, 400]
    for age, size in enumerate(sizes):
        lake.drop_bytes(f"{age}.json", order().encode().ljust(size - 1) + b"\n", at=age)

    events = lake.having("bronze.sales.source.max_bytes_per_trigger=1000").run("bronze")

    assert [one.files for one in batches(events, "bronze.sales")] == [2, 1, 1]
    assert_exact(lake, layers=["bronze"])


def test_files_that_come_while_a_batch_runs_are_one_batch(lake: Lake, spark: object) -> None:
    """Each is found by a look of its own, as with files faster than batches."""
    lake.drop("first.json", order(order_id="first"))
    taken: list[str] = []

    def call(rows: object, number: int) -> None:
        taken.extend(row["order_id"] for row in rows.collect())  # type: ignore[attr-defined]
        for one in range(50) if number == 0 else ():
            lake.drop(f"{one:02}.json", order(order_id=f"o-{one:02}"), at=one)
            loader.discover()

    loader = AutoLoader.to_function(lake.config, "sales", call)
    (done,) = batches(run_streams(lake.config, [loader]), "bronze.sales")
    assert done.files == 1
    after = run_streams(lake.config, [AutoLoader.to_function(lake.config, "sales", call)])
    assert [done.files for done in batches(after, "bronze.sales")] == [50]
    assert taken == ["first", *(f"o-{one:02}" for one in range(50))]
