"""`medallion validate`: every mistake that only Spark can find, with its line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.lake import CONFIG, Lake
from support.own import OwnLake

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
    fields = json.loads(Lake.at(tmp_path).cli("validate", "--config-only", "--json"))
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
        ("silver.sales.schema", "order_id string, regoin string", "has no column regoin"),
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


# Files of a project, and a table for each mistake.
PROJECT = """\
pipeline: shop
python_packages: [shop_of_mistakes]
bronze:
  orders: {source: {format: json, infer_column_types: true}}
  customers: {source: {format: csv, options: {sep: ;}}}
silver:
  customers: {from: bronze.customers, cast: {customer_id: bigint}, select: [customer_id, region]}
  where_is_a_number: {from: bronze.orders, where: quantity + 1}
  no_column: {from: bronze.orders, columns: {day: to_date(order_at), later: "date_add(day, 1)"}}
  no_function: {from: bronze.orders, columns: {day: "coalesce(todate(ordered_at), null)"}}
  no_type: {from: bronze.orders, cast: {quantity: bigit}}
  types: {from: bronze.orders, columns: {x: quantity + array(1)}}
  syntax: {from: bronze.orders, expect: {has_id: {check: order_id is not nul}}}
  rule: {from: bronze.orders, expect: {has_id: {check: ordr_id is not null}, n: {check: price}}}
  patterns:
    from: bronze.orders
    expect: {p: {matches: {order_id: "["}}, q: {not_null: [order_idd, price, xyz]}}
  key: {from: bronze.customers, dedupe: {keys: customerid}}
  no_table: {from: bronze.orders, lookups: [{table: silver.custmers, on: order_id, take: [x]}]}
  taken:
    from: bronze.orders
    lookups: [{table: silver.customers, on: customer_id, take: [regoin]}]
    select: [order_id, region]
  not_there: {from: bronze.orders, transform: "shop_of_mistakes:tidyy", where: quantity > }
  returns: {from: bronze.orders, transform: "shop_of_mistakes:tidy", columns: {x: price * 2}}
  renamed: {from: bronze.orders, rename: {pric: cost}, columns: {x: cost * 2}}
  selected: {from: bronze.orders, select: [order_id, quantitty]}
  good: {from: bronze.orders, columns: {day: to_date(ordered_at)}}
gold:
  measures:
    from: silver.good
    group_by: [customer_idd]
    period: {of: dya, by: day, name: of_day}
    measures:
      f: {sum: prise, where: quantty > 1}
      a: count(oder_id)
      b: sum(pric)
      c: summ(quantity)
      d: max(quantity
      e: count(*)
    columns: {twice: e * 2, half: zz / 2}
  of_selected: {from: silver.selected, group_by: [order_id], measures: {n: count(quantity)}}
"""
ORDER = {
    "order_id": "o-1",
    "customer_id": 7,
    "quantity": 2,
    "price": 1.5,
    "ordered_at": "2026-01-31",
}
# By path: what is meant, and which part of the SQL is marked.
FOUND = {
    "silver.where_is_a_number.where": (None, None),
    "silver.no_column.columns.day": ("ordered_at", "order_at"),
    "silver.no_function.columns.day": ("to_date", "todate"),
    "silver.no_type.cast.quantity": ("bigint", "bigit"),
    "silver.types.columns.x": (None, "quantity + array(1)"),
    "silver.syntax.expect.has_id.check": (None, "nul"),
    "silver.rule.expect.has_id.check": ("order_id", "ordr_id"),
    "silver.rule.expect.n.check": (None, None),
    "silver.patterns.expect.p.matches.order_id": (None, None),
    "silver.patterns.expect.q.not_null": (None, None),
    "silver.key.dedupe.keys": ("customer_id", None),
    "silver.no_table.lookups.0.table": ("silver.customers", None),
    "silver.taken.lookups.0": ("region", None),
    "silver.not_there.where": (None, ""),
    "silver.not_there.transform": (None, None),
    "silver.returns.columns.x": (None, "price"),
    "silver.renamed.rename.pric": ("price", None),
    "silver.selected.select": ("quantity", None),
    "gold.measures.group_by": ("customer_id", None),
    "gold.measures.period.of": ("day", "dya"),
    "gold.measures.measures.f.where": ("quantity", "quantty"),
    "gold.measures.measures.f": ("price", "prise"),
    "gold.measures.measures.a": ("order_id", "oder_id"),
    "gold.measures.measures.b": ("price", "pric"),
    "gold.measures.measures.c": ("sum", "summ"),
    "gold.measures.measures.d": (None, ""),
    "gold.measures.columns.half": (None, "zz"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnLake:
    lake = OwnLake.of(tmp_path, PROJECT)
    lake.land("orders", "a.json", ORDER)
    lake.drop("../customers/c.csv", "customer_id;region", "7;north")
    code = "def tidy(rows):\n    return rows.drop('price')\n"
    (tmp_path / "shop_of_mistakes.py").write_text(code)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return lake


def test_every_mistake_is_found_in_one_go(
    project: OwnLake, spark: object, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError) as told:
        project.cli("validate")
    assert told.value.exit_code == 2
    found = {
        one.path: (one.nearest, None if one.at is None else (one.value or "")[slice(*one.at)])
        for one in told.value.problems
    }
    assert found == FOUND
    assert len(told.value.problems) == len(FOUND) + 1  # `not_null` names two
    lines = [one.origin.line or 0 for one in told.value.problems]
    assert lines == sorted(lines)
    # Each is short; of Spark's own text, nothing but its reason; no column that has no name.
    texts = [str(one) for one in told.value.problems]
    assert max(len(text.splitlines()) for text in texts) <= 5
    assert [t for t in texts if "SQLSTATE" in t or "Plan" in t or "cast quantity" in t] == []
    assert "quantity is bigint" in next(text for text in texts if "silver.types" in text)
    assert "bigint, and must be true or false" in texts[0]
    # Spark logs nothing of its own, and nothing is written.
    assert capfd.readouterr().err == ""
    assert not project.storage.exists()
    assert told.value.next_step.startswith(
        f"fix them, then: medallion validate --config {project.config_file} --set storage.root="
    )


def test_columns_are_inferred_as_a_first_run_does(project: OwnLake, spark: object) -> None:
    project.configure(
        """\
        pipeline: shop
        python_packages: [shop_of_mistakes]
        bronze:
          orders: {source: {format: json, infer_column_types: true}}
          later: {source: {format: json, schema_hints: id bigint}}
        silver:
          orders: {from: bronze.orders, transform: "shop_of_mistakes:tidy"}
          later: {from: bronze.later, columns: {x: id + 1}}
        """
    )
    (project.landing / "later").mkdir()
    bronze, silver, *unknown = project.cli("validate").splitlines()
    assert not project.storage.exists()
    assert bronze.startswith(
        "bronze.orders: customer_id bigint, order_id string, ordered_at string, price double, "
    )
    assert "price" not in silver
    assert [line.partition(": ")[0] for line in unknown] == ["bronze.later", "silver.later"]
    assert "no files yet" in unknown[0]
    # Without files or tables, such as where a change of the config is checked.
    alone = project.cli("validate", "--config-only").splitlines()
    assert [line.split(": ")[1] for line in alone[:2]] == ["not checked", "not checked"]
    project.run("bronze")
    (landed,) = [x for x in project.cli("validate").splitlines() if x.startswith("bronze.orders")]
    assert landed == bronze
    with pytest.raises(ConfigError) as told:
        project.having("queries.bad=SELECT nothing FROM silver.orders").cli("validate")
    assert [one.path for one in told.value.problems] == ["queries.bad"]


def test_what_is_neither_here_nor_there(project: OwnLake, spark: object) -> None:
    lookup = "[{table: silver.products, on: order_id, take: [name]}]"
    project.configure(
        f"""\
        pipeline: shop
        bronze:
          orders: {{source: {{format: json, path: {project.landing}/oders}}}}
          known: {{source: {{format: json, schema: order_id string}}}}
        silver:
          orders: {{from: bronze.orders, columns: {{x: 1 +}}}}
          known: {{from: bronze.known, lookups: {lookup}}}
        """
    )
    with pytest.raises(ConfigError) as told:
        project.cli("validate")
    assert [one.path for one in told.value.problems] == [
        "bronze.orders.source.path",
        "bronze.known.source",
        "silver.orders.columns.x",
        "silver.known.lookups.0.table",
    ]
    with pytest.raises(ConfigError) as alone:
        project.cli("validate", "--config-only")
    assert [one.path for one in alone.value.problems] == ["silver.orders.columns.x"]
    assert "--config-only" in alone.value.next_step
