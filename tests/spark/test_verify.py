"""`medallion verify`: what was planted is found and named, and nothing else."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.lake import run_streams
from support.own import OwnLake
from typer.testing import CliRunner

from medallion_jobs.cli import app

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONFIG = """
    pipeline: orders
    bronze:
      orders:
        source:
          format: json
          schema: id bigint, region string, amount decimal(38,2), ratio double, at bigint
    silver:
      orders:
        from: bronze.orders
        where: region <> 'test' OR region IS NULL
        expect:
          priced: {not_null: amount, otherwise: quarantine}
          placed: {check: at >= 0, otherwise: drop}
        dedupe: {keys: id}
        select: [id, region, amount, ratio, at]
    gold:
      by_region:
        from: silver.orders
        group_by: [region]
        measures:
          orders: count(*)
          total: sum(amount)
          mean: avg(ratio)
          ids: {approx_count_distinct: id}
        columns:
          rounded: round(mean, 1)
          size: if(total > 1000, 'large', 'small')
"""
GOOD = 300
HUGE = "99999999999999999999999999999999.99"


def orders() -> list[dict[str, Any]]:
    regions = ("north", "south", "east", "west", None)
    return [
        {"id": n, "region": regions[n % 5], "amount": n, "ratio": n / 7, "at": n % 2}
        for n in range(GOOD)
    ]


@pytest.fixture(scope="module")
def ran(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> OwnLake:
    """A lake after a run over two files. To be copied, or read."""
    from medallion_jobs import bronze, gold, silver

    lake = OwnLake.of(tmp_path_factory.mktemp("verify"), CONFIG)
    lake.land("orders", "1.json", *orders())
    lake.land(
        "orders",
        "2.json",
        {"id": 1, "region": "north", "amount": 7, "ratio": 1.0, "at": 3},
        {"id": 900, "region": "test", "amount": 7, "ratio": 1.0, "at": 3},
        {"id": 901, "region": "north", "amount": None, "ratio": 1.0, "at": 3},
        {"id": 902, "region": "north", "amount": 5, "ratio": 1.0, "at": -1},
        {"id": 903, "region": "huge", "amount": HUGE, "ratio": None, "at": 0},
        at=1,
    )
    jobs = (bronze, silver, gold)
    run_streams(lake.config, [one for job in jobs for one in job.streams(lake.config)])
    return lake


def verify(lake: OwnLake, *words: str) -> tuple[int, dict[str, Any]]:
    answer = CliRunner().invoke(app, ["verify", *words, "--json", *lake.arguments])
    assert answer.exit_code in (0, 1), answer.exception
    return answer.exit_code, json.loads(answer.stdout)


def shown(lake: OwnLake, *words: str) -> str:
    return CliRunner().invoke(app, ["verify", *words, *lake.arguments]).stdout


def test_tables_as_a_run_leaves_them_are_right(ran: OwnLake) -> None:
    code, told = verify(ran, "--layers")
    assert (code, told["right"], told["not_compared"]) == (0, True, [])
    (by_region,) = told["gold"]
    assert (by_region["groups"], by_region["source_groups"]) == (6, 6)
    assert by_region["tolerant"] == ["mean", "rounded"]
    counts = {
        (audit["table"], check["what"]): (check["expected"], check["found"])
        for audit in told["layers"]
        for check in audit["checks"]
    }
    every = GOOD + 5
    assert counts == {
        ("bronze.orders", "rows of each file"): (every, every),
        ("bronze.orders", "bad lines of each file"): (0, 0),
        ("silver.orders", "rows read"): (every, every),
        ("silver.orders", "rows of each batch"): (every, every),
        ("silver.orders", "rows accounted for"): (every, every),
        ("silver.orders", "rows in the table"): (GOOD + 1, GOOD + 1),
    }
    (parts,) = (
        check["parts"]
        for audit in told["layers"]
        for check in audit["checks"]
        if check["what"] == "rows accounted for"
    )
    assert parts == {
        "in the table": GOOD + 1,
        "filtered": 1,
        "dropped": 1,
        "repeated": 1,
        "in quarantine": 1,
    }


def make_older(table: Path, version: int) -> None:
    """Has a table's version be two weeks old. Delta lets no one read one that old, but if asked."""
    log = table / "_delta_log"
    then = time.time() - 14 * 24 * 3600
    for one in range(version + 1):
        os.utime(log / f"{one:020}.json", (then + one,) * 2)


def test_what_is_planted_is_found_and_named(
    spark: SparkSession, ran: OwnLake, tmp_path: Path
) -> None:
    lake = ran.copy(tmp_path)
    bronze, silver, gold = (
        f"delta.`{lake.path(one)}`" for one in ("bronze.orders", "silver.orders", "gold.by_region")
    )
    right = {row["region"]: row for row in lake.rows("gold.by_region")}
    make_older(lake.path("silver.orders"), 1)
    spark.sql(f"ALTER TABLE {bronze} SET TBLPROPERTIES ('delta.appendOnly' = 'false')")
    spark.sql(f"DELETE FROM {bronze} WHERE id = 7")
    # Gold stands for the version of silver that it has read, whatever becomes of it later.
    spark.sql(f"DELETE FROM {silver} WHERE id = 9")
    spark.sql(f"INSERT INTO {gold} SELECT * FROM {gold} WHERE region = 'east'")
    spark.sql(
        f"UPDATE {gold} SET region = CASE WHEN region = 'west' THEN 'moon' ELSE region END, "
        "total = CASE WHEN region = 'north' THEN total + 1 ELSE total END, "
        "mean = CASE WHEN region = 'south' THEN mean * 1.0000000000001D ELSE mean END, "
        "size = CASE WHEN region = 'huge' THEN 'small' ELSE size END, "
        "ids = CASE WHEN region IS NULL THEN ids - 1 ELSE ids END"
    )
    code, told = verify(lake, "gold.by_region", "--layers")
    assert code == 1
    check_gold(told["gold"][0], right)
    check_layers(told["layers"])
    lines = shown(lake, "gold.by_region", "--show", "5").splitlines()
    (north,) = (line.split() for line in lines if "region=north" in line)
    total = right["north"]["total"]
    assert north == ["region=north", "different", "total", str(total + 1), str(total)]
    assert lines[-1].endswith("; 5 shown")


def check_gold(found: dict[str, Any], right: dict[str | None, dict[str, Any]]) -> None:
    assert (found["groups"], found["source_groups"], found["source_version"]) == (6, 6, 1)
    kinds = {what: found[what] for what in ("missing", "extra", "repeated", "different")}
    assert kinds == {"missing": 1, "extra": 1, "repeated": 1, "different": 3}
    assert found["columns"] == {"total": 1, "ids": 1, "size": 1}
    named = {one["group"]["region"]: one for one in found["differences"]}
    total, ids = right["north"]["total"], right[None]["ids"]
    assert named["north"]["values"] == {"total": [str(total + 1), str(total)]}
    assert named[None]["values"] == {"ids": [str(ids - 1), str(ids)]}
    assert named["huge"]["values"] == {"size": ["small", "large"]}
    assert (named["east"]["what"], named["east"]["copies"]) == ("repeated", 2)
    assert (named["moon"]["what"], named["west"]["what"]) == ("extra", "missing")
    assert named["west"]["values"]["total"] == [None, str(right["west"]["total"])]


def check_layers(layers: list[dict[str, Any]]) -> None:
    wrong = {
        (audit["table"], check["what"]): check
        for audit in layers
        for check in audit["checks"]
        if not check["right"]
    }
    assert list(wrong) == [
        ("bronze.orders", "rows of each file"),
        ("silver.orders", "rows accounted for"),
        ("silver.orders", "rows in the table"),
    ]
    (file,) = wrong["bronze.orders", "rows of each file"]["mismatches"]
    assert file["where"].endswith("orders/1.json, batch 0 of v1")
    assert (file["expected"], file["found"]) == (GOOD, GOOD - 1)
    for what in ("rows accounted for", "rows in the table"):
        one = wrong["silver.orders", what]
        assert one["expected"] - one["found"] == 1
        (commit,) = one["mismatches"]
        assert commit["where"].endswith("DELETE by none of its queries")
