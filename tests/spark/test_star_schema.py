"""A star: facts with surrogate keys, dimensions with an unknown member, and no row lost."""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from duckdb_extensions import import_extension
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType
from support.own import OwnLake

from medallion_jobs.config import SilverTable
from medallion_jobs.errors import DataError, Refused
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import Txn
from medallion_jobs.lake.tables import schema as schemas
from medallion_jobs.refine.write import modes, surrogate_key

CONFIG = """
pipeline: shop
bronze:
  orders:
    source:
      format: json
      schema: order_id string, product_id bigint, customer_id bigint, amount bigint, at timestamp
  products:
    source: {format: json, schema: "product_id bigint, name string, updated_at timestamp"}
  customers:
    source: {format: json, schema: "customer_id bigint, region string, updated_at timestamp"}
silver:
  dim_product:
    from: bronze.products
    write: upsert
    keys: product_id
    sequence: updated_at
    deletes: {when: name = 'gone', how: hard}
    surrogate_key: product_sk
    unknown_member: {product_id: -1, name: unknown}
    select: [product_id, name, updated_at]
  dim_customer:
    from: bronze.customers
    write: scd2
    keys: customer_id
    sequence: updated_at
    surrogate_key: customer_sk
    unknown_member: {customer_sk: -9, region: nowhere}
    select: [customer_id, region, updated_at]
  fact_orders:
    from: bronze.orders
    lookups:
      - {table: silver.dim_product, on: product_id, take: [product_sk], on_miss: unknown}
      - table: silver.dim_customer
        on: customer_id
        take: [customer_sk, region]
        as_of: at
        on_miss: hold
        hold_for: 1ms
        after_hold: unknown
    columns:
      label: upper(region)
    expect:
      known_product:
        references: {table: silver.dim_product, on: product_id}
        otherwise: warn
    select: [order_id, product_id, customer_id, product_sk, customer_sk, label, amount, at]
"""
STAR = """
    SELECT sum(f.amount), count(*), count(DISTINCT p.name), count(DISTINCT c.region)
    FROM delta_scan('{0}/silver/fact_orders') f
    JOIN delta_scan('{0}/silver/dim_product') p USING (product_sk)
    JOIN delta_scan('{0}/silver/dim_customer') c USING (customer_sk)
"""


AT = pa.timestamp("us", "UTC")
TYPES = {
    "orders": {"order_id": pa.string(), "product_id": pa.int64(), "customer_id": pa.int64()}
    | {"amount": pa.int64(), "at": AT},
    "products": {"product_id": pa.int64(), "name": pa.string(), "updated_at": AT},
    "customers": {"customer_id": pa.int64(), "region": pa.string(), "updated_at": AT},
}


def load(lake: OwnLake, table: str, *rows: tuple[Any, ...]) -> None:
    """Adds rows to a bronze table, days standing for moments."""
    columns = {}
    for (name, kind), values in zip(TYPES[table].items(), zip(*rows, strict=True), strict=True):
        moments = [datetime(2026, 1, day, tzinfo=timezone.utc) for day in values if kind == AT]
        columns[name] = pa.array(moments or values, kind)
    write_deltalake(lake.path(f"bronze.{table}"), pa.table(columns), mode="append")


ORDERS = [
    ("o-0", 1, 1, 1, 10),
    ("o-1", 1, 1, 2, 20),  # after customer 1 has moved
    ("o-2", 2, 2, 4, 10),  # a product that comes late, a customer who does
    ("o-3", None, None, 8, 10),
    ("o-4", -1, 3, 16, 10),
]
FACTS = ("product_sk", "customer_sk", "label")


def first(folder: Path, *settings: str) -> OwnLake:
    lake = OwnLake.of(folder, CONFIG, *settings)
    # The second product has the key of the unknown one.
    load(lake, "products", (1, "pen", 1), (-1, "gone", 1))
    load(lake, "customers", (1, "North", 1), (1, "South", 15), (3, "East", 1), (None, "Null", 1))
    load(lake, "orders", *ORDERS)
    lake.run("silver")
    return lake


def by(rows: list[dict[str, Any]], *key: str) -> dict[Any, dict[str, Any]]:
    return {row[key[0]] if len(key) == 1 else tuple(row[k] for k in key): row for row in rows}


def star(lake: OwnLake) -> tuple[Any, ...]:
    import_extension("delta")
    duck = duckdb.connect()
    duck.execute("LOAD delta")
    found = duck.execute(STAR.format(lake.storage)).fetchone()
    assert found
    return found


def test_a_star_loses_no_row(spark: Any, tmp_path: Path) -> None:
    lake = first(tmp_path, "silver.fact_orders.lookups.1.on_miss=unknown")
    products, customers = lake.rows("silver.dim_product"), lake.rows("silver.dim_customer")
    assert next(iter(products[0])) == "product_sk"
    assert by(products, "product_sk")[-1] == UNKNOWN
    nobody = by(customers, "customer_sk")[-9]
    assert nobody["valid_from"] == datetime(1900, 1, 1, tzinfo=timezone.utc)
    assert (nobody["valid_to"], nobody["is_current"], nobody["customer_id"]) == (None, True, None)
    assert (len(products), len(customers)) == (2, 4)
    for name in DIMENSIONS:
        (parked,) = lake.rows(f"quarantine/silver/{name}")
        assert parked["rules"] == ["unknown_member"]
    keys = by(customers, "customer_id", "region")
    pen = by(products, "name")["pen"]["product_sk"]
    facts = {row["order_id"]: tuple(row[k] for k in FACTS) for row in lake.rows(FACT)}
    assert facts == {
        "o-0": (pen, keys[1, "North"]["customer_sk"], "NORTH"),
        "o-1": (pen, keys[1, "South"]["customer_sk"], "SOUTH"),
        "o-2": (-1, -9, "NOWHERE"),
        "o-3": (-1, -9, "NOWHERE"),
        "o-4": (-1, keys[3, "East"]["customer_sk"], "EAST"),
    }
    assert star(lake) == (31, 5, 2, 4)


@pytest.mark.slow
def test_a_star_whose_keys_come_late_and_whose_dimensions_are_made_anew(
    spark: Any, tmp_path: Path
) -> None:
    lake = first(tmp_path)
    # The second run finds the row that has waited in vain.
    lake.run("silver")
    facts = by(lake.rows(FACT), "order_id")
    assert [facts["o-2"][k] for k in FACTS] == [-1, -9, "NOWHERE"]
    assert star(lake) == (31, 5, 2, 4)

    load(lake, "products", (2, "ink", 1))
    load(lake, "customers", (2, "West", 1))
    lake.run("silver")
    for name in ("product", "customer"):
        done = lake.cli("replay", FACT, "--missed-lookup", f"dim_{name}", "--yes")
        assert "1 rows updated" in done
    ink = by(lake.rows("silver.dim_product"), "name")["ink"]["product_sk"]
    west = by(lake.rows("silver.dim_customer"), "region")["West"]["customer_sk"]
    mended = by(lake.rows(FACT), "order_id")
    assert [mended["o-2"][k] for k in FACTS] == [ink, west, "WEST"]
    assert {**mended, "o-2": None} == {**facts, "o-2": None}
    assert star(lake) == (31, 5, 3, 5)

    # Made anew, a dimension has the keys that it had, and its unknown member once.
    before = {name: by(lake.rows(f"silver.{name}"), *key) for name, key in DIMENSIONS.items()}
    for name in DIMENSIONS:
        lake.reset(f"silver.{name}")
    lake.run("silver")
    for name, key in DIMENSIONS.items():
        assert by(lake.rows(f"silver.{name}"), *key) == before[name]
        assert len(lake.rows(f"silver.{name}")) == len(before[name])
    assert star(lake) == (31, 5, 3, 5)
    # Another unknown member is another table.
    with pytest.raises(Refused, match="unknown_member"):
        lake.having("silver.dim_product.unknown_member.name=nothing").run("silver")


FACT = "silver.fact_orders"
DIMENSIONS = {"dim_product": ("product_sk",), "dim_customer": ("customer_sk",)}
UNKNOWN = {"product_sk": -1, "product_id": -1, "name": "unknown", "updated_at": None}


class Made:
    """A table with a surrogate key, outside any pipeline."""

    def __init__(self, spark: Any, path: Path, ddl: str, **settings: Any) -> None:
        self.spark, self.path, self.ddl, self.batch = spark, path, ddl, -1
        self.table = SilverTable.model_validate(
            {"from": "bronze.x", "surrogate_key": "sk", "sequence": "at", **settings}
        )
        declared = schemas.parse_ddl(ddl)
        extra = modes.extra_fields(self.table, declared, declared)
        schema = StructType([StructField("sk", LongType()), *declared.fields, *extra])
        tables.create(spark, path, schema, comment="made for a test")

    def write(self, *rows: tuple[Any, ...]) -> None:
        self.batch += 1
        modes.write(
            self.spark.createDataFrame(list(rows), self.ddl),
            self.table,
            self.path,
            schemas.parse_ddl(self.ddl).names,
            Txn("silver.made/v1", self.batch, "run"),
            tombstones=self.path.with_name("graves"),
            changes=self.path.with_name("changes"),
        )

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        rows = self.spark.read.format("delta").load(str(self.path)).select(*columns)
        return sorted((tuple(row) for row in rows.collect()), key=repr)


def test_surrogates_tell_keys_apart_and_stay(spark: Any) -> None:
    def keys(ddl: str, *rows: tuple[Any, ...], member: dict[str, Any] | None = None) -> list[int]:
        said = {"write": "upsert", "keys": ["a", "b"], "sequence": "at", "surrogate_key": "sk"}
        table = SilverTable.model_validate({"from": "bronze.x", **said, "unknown_member": member})
        made = surrogate_key.with_key(spark.createDataFrame(list(rows), ddl), table)
        return [row["sk"] for row in made.collect()]

    texts = [("x", None), (None, "x"), ("x", ""), ('x","b":"', None), ("1", "2"), (None, None)]
    assert len(set(keys("a string, b string", *texts))) == len(texts)
    # A wider column, and a zero with a sign, are the same key; a text is another.
    usual = keys("a int, b double", (1, -0.0), (2, 0.5))
    assert keys("a bigint, b double", (1, 0.0), (2, 0.5)) == usual
    assert not set(keys("a string, b double", ("1", 0.0), ("2", 0.5))) & set(usual)
    # What is kept free is nobody's.
    member = {"a": -1, "sk": usual[0]}
    given = keys("a int, b double", (1, 0.0), (2, 0.5), member=member)
    assert given[0] not in (usual[0], 0, -1)
    assert given[1] == usual[1]


def test_a_shared_surrogate_is_refused(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surrogate_key, "hashed", lambda told: F.length(told).cast("bigint") + 100)
    made = Made(spark, tmp_path / "made", "a string, at date", write="scd2", keys="a")
    day = date(2026, 1, 1)
    made.write(("x", day))
    told = r'have one sk for different keys: .*"a":"x".*"a":"y".*; .*"a":"xx".*"a":"yy"'
    with pytest.raises(DataError, match=told):
        made.write(("y", day), ("longer", day), ("yy", day), ("xx", day))
    assert made.rows("a") == [("x",)]
