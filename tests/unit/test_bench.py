"""The bench's statistics, floors and page; none of them needs a JVM."""

from __future__ import annotations

import json
import math
import random
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import pytest
from bench import floors, follow, page
from bench.contenders import OURS, Contender
from bench.figures import Figure, growth, quantile, ratio
from bench.inputs import Input, read_gold
from bench.loads import first_load
from bench.processes import Failed, run

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parents[1] / "data" / "bench_results.json"


@pytest.fixture
def results() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return stored


def test_a_figure_has_median_and_spread() -> None:
    figure = Figure.of([12.04, 11.0, 1300.0])
    assert (figure.middle, figure.least, figure.most) == (12.04, 11.0, 1300.0)
    assert figure.shown(1, " s") == "12.0 s (11.0 to 1,300.0)"
    assert Figure.of([2.0]).shown(1) == "2.0"


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that was slow in one round was slow for both."""
    assert ratio([20.0, 40.0, 22.0], [10.0, 20.0, 10.0]) == Figure(2.0, 2.0, 2.2)
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100, 199, 200])
def test_quantiles_are_those_of_their_definition(count: int) -> None:
    values = [random.Random(count).random() for _ in range(count)]
    for part in (0.5, 0.9, 0.99, 1.0):
        found = quantile(values, part)
        assert found in values
        assert sum(value <= found for value in values) >= part * count
        below = [value for value in values if value < found]
        assert not below or sum(value <= max(below) for value in values) < part * count


def test_growth_is_the_last_third_over_the_first() -> None:
    values = [1.0, 2.0, 3.0, 9.0, 9.0, 9.0, 4.0, 5.0, 6.0]
    assert growth(values) == statistics.median(values[-3:]) / statistics.median(values[:3]) == 2.5


def test_a_file_that_never_gets_to_gold_is_no_lag() -> None:
    lag = follow.summary([1.0, 2.0, math.inf])
    assert (lag["files"], lag["visible"], lag["p99"]) == (3, 2, 2.0)
    assert not follow.holds(lag)
    assert not follow.holds(follow.summary([math.inf]))
    assert follow.holds(follow.summary([1.0, 2.0, 2.0]))
    assert not follow.holds(follow.summary([1.0, 9.0, 9.0]))


def test_the_page_has_each_contender_with_its_ratio(results: dict[str, Any]) -> None:
    written = page.page(results)
    for text in (
        "| **medallion_jobs** | 20.0 (19.0 to 22.0) | 1 | 50,000 |",
        "| notebook, tuned | 32.0 (30.0 to 36.0) | 1.64 (1.50 to 1.68) | 31,250 |",
        "* dlt into Delta takes no part: dlt: 3 groups of gold are wrong",
        "Ours takes 8.8 (8.0 to 9.5) times as long as DuckDB alone",
        "## S8: memory",
        "2 cores, 8 GiB of memory",
        "load before 0.1, after 2.0",
        "| json, 200 columns |  |  | **failed** |",
    ):
        assert text in written
    # The quickest comes first, and the page says why it is quicker.
    assert written.index("| Polars with delta-rs |") < written.index("| **medallion_jobs** |")
    assert "* **Polars with delta-rs** (S1 10.0 x" in written
    assert "notebook, tuned** (" not in written
    assert max(map(len, written.splitlines())) < 400


def test_floors_are_judged_by_medians(results: dict[str, Any]) -> None:
    found = {(one.scenario, one.text): one for one in floors.judged(results)}
    assert found["s1", "as fast as the tuned notebook"].met is True
    assert found["s1", "as fast as the notebook with defaults"].met is False
    assert found["s1", "as fast as dlt"].met is None  # its gold was wrong: it has no time
    assert found["s2", "as long as the bare session"].met is True
    assert found["s3", "p50 at one file a second"].met is True
    assert found["s3", "p99 at one file a second"].met is False
    assert found["s3", "last third over first at five a second"].met is True
    assert found["s5", "large lake over small, gold incremental"].found.startswith("1.10 x")
    assert found["s6", "memory after minute 3"].met is False
    assert found["s7", "formats and widths that are loaded"].found == "not json, 200 columns"
    assert "| S1: as fast as the tuned notebook | at least 1.5 x | 1.64 x" in page.page(results)


def test_a_quick_run_meets_and_misses_nothing(results: dict[str, Any]) -> None:
    for scenario in results["scenarios"].values():
        scenario["quick"] = True
    assert {one.met for one in floors.judged(results)} == {None}
    assert "no claim" in page.page(results)


def test_the_script_writes_the_page_of_results(tmp_path: Path, results: dict[str, Any]) -> None:
    script = ROOT / "scripts" / "bench" / "run.py"
    line = [sys.executable, str(script), "page", "--json", str(RESULTS)]
    run([[*line, "--page", str(tmp_path / "page.md")]], tmp_path / "log")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page.page(results)


def test_the_page_in_docs_is_that_of_the_stored_results() -> None:
    stored = json.loads((ROOT / "scripts/bench/results.json").read_text(encoding="utf-8"))
    assert (ROOT / "docs/performance.md").read_text(encoding="utf-8") == page.page(stored)


def test_the_expected_gold_is_that_of_the_lines(tmp_path: Path) -> None:
    source = Input(tmp_path)
    source.make(3, 40)
    landed = source.add(2, 10)
    sums: dict[tuple[str, str], int] = {}
    lines = [line for file in source.sales.glob("*.json") for line in file.read_text().splitlines()]
    for order in map(json.loads, lines):
        region = ("North", "South", "East", "West")[(order["customer_id"] - 1) % 4]
        group = (region, order["order_timestamp"][:10])
        sums[group] = sums.get(group, 0) + order["quantity"]
    assert len(lines) == 140
    assert source.expected() == sums
    newest = sorted(source.sales.glob("*.json"))[-2:]
    quantities = [
        int(one) for file in newest for one in re.findall(r'quantity": (\d)', file.read_text())
    ]
    assert landed == sum(quantities)


def test_copies_of_a_file_count_each(tmp_path: Path) -> None:
    source, samples = (Input(tmp_path / name).make(0, 0) for name in ("input", "samples"))
    lands = follow.copies(source, samples, 30)
    assert sum(source.expected().values()) == 0
    landed = [lands() for _ in range(3)]
    assert sum(source.expected().values()) == sum(landed) == 3 * landed[0] > 0


def test_gold_is_read_from_delta_and_from_duckdb(tmp_path: Path) -> None:
    import duckdb
    import pyarrow as pa
    from deltalake import write_deltalake

    rows = pa.table({"region": ["North"], "order_date": ["2026-01-01"], "total_quantity": [7]})
    write_deltalake(tmp_path / "gold", rows)
    with duckdb.connect(str(tmp_path / "gold.duckdb")) as database:
        database.execute("CREATE TABLE gold AS FROM rows")
    wanted = {("North", "2026-01-01"): 7}
    assert read_gold(tmp_path / "gold") == read_gold(tmp_path / "gold.duckdb") == wanted
    write_deltalake(tmp_path / "gold", rows, mode="append")
    with pytest.raises(Failed, match="2 rows for 1 groups"):
        read_gold(tmp_path / "gold")
    with pytest.raises(Failed, match="gold cannot be read"):
        read_gold(tmp_path / "nothing")


def test_a_time_counts_only_if_gold_is_right(tmp_path: Path) -> None:
    import duckdb

    source = Input(tmp_path / "input").make(2, 20)
    right = source.expected()
    (region, day), quantity = next(iter(right.items()))
    for name, gold in (("right", right), ("wrong", right | {(region, day): quantity + 1})):
        with duckdb.connect(str(tmp_path / name)) as database:
            database.execute("CREATE TABLE gold (region TEXT, order_date TEXT, total_quantity INT)")
            rows = [[*group, number] for group, number in gold.items()]
            database.executemany("INSERT INTO gold VALUES (?, ?, ?)", rows)

    def copies(name: str, file: str) -> Contender:
        return Contender(
            name, name.title(), lambda _, work: [["cp", str(tmp_path / file), str(work)]], file
        )

    rivals = [copies("good", "right"), copies("bad", "wrong"), copies("ugly", "missing")]
    found = first_load(source, [copies(OURS, "right"), *rivals], 2, tmp_path / "work")
    assert {name: len(times) for name, times in found["seconds"].items()} == {OURS: 2, "good": 2}
    assert found["failed"].keys() == {"bad", "ugly"}
    assert f"1 groups of gold are wrong, such as ('{region}', '{day}')" in found["failed"]["bad"]
    with pytest.raises(Failed, match="wrong"):
        first_load(source, [copies(OURS, "wrong")], 1, tmp_path / "work")


def test_a_run_is_measured_and_a_failure_shows_its_log(tmp_path: Path) -> None:
    measured = run([["sh", "-c", "sleep 0.6"]], tmp_path / "log")
    assert 0.6 <= measured.seconds < 30
    if Path("/proc").is_dir():
        assert measured.peak
        assert 0.1 < measured.peak < 100
    with pytest.raises(Failed, match=r"ended with 3:\nwhat went wrong"):
        run([["sh", "-c", "echo what went wrong; exit 3"]], tmp_path / "log2")
    with pytest.raises(Failed, match="did not end"):
        run([["sleep", "60"]], tmp_path / "log3", limit=0.3)
