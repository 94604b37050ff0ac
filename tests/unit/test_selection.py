"""`--select` and `--exclude`: which tables a command is about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from medallion_jobs.cli import app
from medallion_jobs.config import Pipeline, Selection, pipeline_from_values
from medallion_jobs.config.selection import readers, reads
from medallion_jobs.errors import UsageError


@pytest.fixture(scope="module")
def shop() -> Pipeline:
    r"""Two branches that share a dimension.

    bronze.orders -> silver.orders -> gold.by_day, gold.by_region
    bronze.people -> silver.people, looked up by silver.orders
    bronze.clicks -> silver.clicks -> gold.clicks
    """
    orders: dict[str, Any] = {
        "from": "bronze.orders",
        "schema": "id STRING, person STRING",
        "lookups": [
            {"table": "silver.people", "on": {"id": "person"}, "take": {"region": "region"}}
        ],
    }
    count = {"group_by": ["id"], "measures": {"n": "count(*)"}}
    files = {"source": {"format": "json", "schema": "id STRING, person STRING, region STRING"}}
    return pipeline_from_values(
        {
            "pipeline": "shop",
            "bronze": dict.fromkeys(("orders", "people", "clicks"), files),
            "silver": {
                # Declared before what it looks up.
                "orders": orders,
                "people": {"from": "bronze.people"},
                "clicks": {"from": "bronze.clicks"},
            },
            "gold": {
                "by_day": {"from": "silver.orders", **count},
                "by_region": {"from": "silver.orders", **count},
                "clicks": {"from": "silver.clicks", **count},
            },
        },
        "a test",
    )


ORDERS = "silver.orders gold.by_day gold.by_region"
ALL = (
    "bronze.orders bronze.people bronze.clicks silver.people silver.orders silver.clicks "
    "gold.by_day gold.by_region gold.clicks"
)


@pytest.mark.parametrize(
    ("select", "exclude", "tables"),
    [
        ([], [], ALL),
        (["silver.orders"], [], "silver.orders"),
        (["silver.orders+"], [], ORDERS),
        # A dimension is read, too.
        (["+silver.orders"], [], "bronze.orders bronze.people silver.people silver.orders"),
        (["+gold.clicks"], [], "bronze.clicks silver.clicks gold.clicks"),
        (["silver.people+"], [], f"silver.people {ORDERS}"),
        (["+silver.clicks+"], [], "bronze.clicks silver.clicks gold.clicks"),
        (["silver"], [], "silver.people silver.orders silver.clicks"),
        (["gold.*"], [], "gold.by_day gold.by_region gold.clicks"),
        (["*.clicks"], [], "bronze.clicks silver.clicks gold.clicks"),
        (["gold.by_?ay"], [], "gold.by_day"),
        (["gold.by_day", "bronze.orders"], [], "bronze.orders gold.by_day"),
        (["gold.by_day,bronze.orders"], [], "bronze.orders gold.by_day"),
        (["silver+"], [], f"silver.people {ORDERS} silver.clicks gold.clicks"),
        (
            [],
            ["silver.orders+"],
            "bronze.orders bronze.people bronze.clicks silver.people silver.clicks gold.clicks",
        ),
        (["silver.orders+"], ["gold"], "silver.orders"),
        (["+gold.by_day"], ["silver.people", "bronze"], "silver.orders gold.by_day"),
    ],
)
def test_terms(shop: Pipeline, select: list[str], exclude: list[str], tables: str) -> None:
    assert set(map(str, Selection(select, exclude).of(shop))) == set(tables.split())


def test_each_table_comes_after_those_that_it_reads(shop: Pipeline) -> None:
    order = Selection(["*"]).of(shop)
    graph = reads(shop)
    assert all(order.index(used) < order.index(ref) for ref in order for used in graph[ref])
    people = next(ref for ref in order if str(ref) == "silver.people")
    assert set(map(str, readers(graph, [people]))) == set(ORDERS.split())


@pytest.mark.parametrize(
    ("term", "near"),
    [
        ("silver.order", "did you mean silver.orders"),
        ("Silver.Orders", "did you mean silver.orders"),
        ("clicks", "did you mean"),
        ("+gold.by_regions+", "did you mean gold.by_region"),
        ("zzz", "the tables are: bronze.orders,"),
        ("", "the tables are: "),
        ("+", "the tables are: "),
        ("a++b", "the tables are: "),
        ("silver.nothing_*", "the tables are: "),
    ],
)
@pytest.mark.parametrize("option", ["select", "exclude"])
def test_a_term_that_names_nothing(shop: Pipeline, option: str, term: str, near: str) -> None:
    with pytest.raises(UsageError) as refused:
        Selection(**{option: [term]}).of(shop)
    assert (refused.value.code, refused.value.exit_code) == ("selection_unknown", 2)
    assert f"--{option} {term or repr(term)}" in refused.value.what
    assert near in refused.value.next_step


def test_nothing_is_left(shop: Pipeline) -> None:
    with pytest.raises(UsageError, match=r"--select gold, without --exclude gold\.\*") as refused:
        Selection(["gold"], ["gold.*"]).of(shop)
    assert refused.value.code == "selection_is_empty"


def test_commands_take_it() -> None:
    told = CliRunner().invoke(
        app, ["status", "--json", "--select", "+gold.sales_by_region_day", "--exclude", "bronze"]
    )
    tables = [one["table"] for one in json.loads(told.stdout)]
    assert tables == ["silver.sales", "gold.sales_by_region_day"]
    for arguments, why in (
        (["status", "--select", "silver.sale"], "--select silver.sale"),
        (["run", "--select", "silver.sale"], "--select silver.sale"),
        (["run", "gold", "--select", "silver.sales"], "no gold table among the selected"),
        (["verify", "--select", "silver.sales"], "none of the selected tables is a gold table"),
        (["verify", "gold.sales_by_region_day", "--exclude", "silver"], "exclude each other"),
    ):
        error = CliRunner().invoke(app, arguments).exception
        assert isinstance(error, UsageError), error
        assert why in error.what
