"""`medallion validate`: every mistake that only Spark can find, with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.lake import CONFIG, Lake

from medallion_jobs.config import ConfigError


def test_a_valid_config_shows_the_schema_of_each_table(lake: Lake, spark: object) -> None:
    told = lake.cli("validate")
    bronze, silver, gold = told.splitlines()
    assert bronze.startswith("bronze.sales: order_id string, customer_id bigint")
    assert silver == (
        "silver.sales: order_id string, customer_id bigint, region string, product_id bigint, "
        "quantity int, order_date date, load_time timestamp"
    )
    assert gold == (
        "gold.sales_by_region_day: region string, order_date date, total_quantity bigint"
    )


def test_a_dimension_that_is_not_there_yet_is_no_mistake(tmp_path: Path, spark: object) -> None:
    fields = json.loads(Lake.at(tmp_path).cli("validate", "--json"))
    assert [f["name"] for f in fields["silver.sales"]][2] == "region"
    assert not (tmp_path / "lake").exists()


def test_all_mistakes_are_told_each_with_its_line(
    lake: Lake, spark: object, tmp_path: Path
) -> None:
    from support import lake as lakes
    from typer.testing import CliRunner

    text = CONFIG.read_text()
    for right, wrong in {
        "to_date(order_timestamp)": "to_date(ordered_at)",
        "load_time: _load_time": "load_time: coalesce(_load_time",
        "sum(quantity)": "sum(quantitty)",
        "group_by: [region, order_date]": "group_by: [region, order_date]",
    }.items():
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    config = tmp_path / "sales.yaml"
    config.write_text(text)

    result = CliRunner().invoke(
        lakes.app, ["validate", "--config", str(config), *lake.arguments[2:]]
    )

    error = result.exception
    assert isinstance(error, ConfigError)
    assert error.exit_code == 2
    said = str(error)
    for key, value in {"order_date:": "ordered_at", "load_time:": "coalesce(_load_time"}.items():
        line = 1 + next(n for n, one in enumerate(text.splitlines()) if key in one and value in one)
        assert f"sales.yaml:{line}  silver.sales.columns.{key[:-1]}" in said
        assert value in said


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "silver.sales.schema",
            "order_id string, quantity bigint, load_time timestamp",
            "quantity: declared as bigint, but it is int",
        ),
        ("silver.sales.schema", "order_id string, regoin string", "regoin: declared as string"),
        ("gold.sales_by_region_day.measures.total_quantity", "sum(quantitty)", "quantitty"),
        ("gold.sales_by_region_day.measures.total_quantity", "sum(quantity", "syntax"),
        ("gold.sales_by_region_day.group_by", "[regoin]", "regoin"),
    ],
)
def test_a_mistake_is_told_under_its_key(
    lake: Lake, spark: object, key: str, value: str, words: str
) -> None:
    with pytest.raises(ConfigError) as told:
        lake.having(f"{key}={value}").cli("validate")
    assert told.value.exit_code == 2
    assert key in str(told.value)
    assert words.lower() in str(told.value).lower()
