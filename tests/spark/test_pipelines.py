"""The pipelines beside sales, whole: silver and gold equal what the landed files call for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from support.exact import assert_same
from support.pipeline_oracles import good_lines
from support.pipelines import PIPELINES, PipelineLake, assert_exact, found_in
from support.second_opinions import amounts_by_pandas, gold_by_duckdb


# The others are held against DuckDB in test_descriptions.py.
@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=[pytest.mark.slow] * (one != "transactions")) for one in PIPELINES],
)
def test_in_one_pass(name: str, tmp_path: Path, spark: object) -> None:
    lake = PipelineLake.of(name, tmp_path)
    lake.generate(9, rows=60, seed=3, dirty=0.05)
    lake.run()
    assert_exact(lake)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", PIPELINES)
def test_twenty_seeds(name: str, seed: int, tmp_path: Path, spark: object) -> None:
    lake = PipelineLake.of(name, tmp_path)
    lake.generate(9, rows=100, seed=seed, dirty=0.03 * (seed % 3))
    lake.run()
    assert_exact(lake)
    assert_as_others_have_it(lake)


def assert_as_others_have_it(lake: PipelineLake) -> None:
    """Gold as DuckDB computes it from the raw files, and what pandas has a word for."""
    for table, rows in gold_by_duckdb(lake.name, lake.landing).items():
        assert rows
        assert_same(found_in(lake, f"gold.{table}"), rows, f"gold.{table}, by DuckDB")
    if lake.name == "transactions":
        lines = good_lines(sorted(lake.folder.glob("*.json")))
        found = Counter(
            (row["transaction_id"], row["user_id"], row["amount"])
            for row in lake.rows("silver.transactions")
        )
        assert_same(found, amounts_by_pandas(lines), "silver.transactions, by pandas")
