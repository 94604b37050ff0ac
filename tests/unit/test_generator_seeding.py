"""Dimensions are seeded once, and what is there is never changed."""

from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from duckdb_extensions import import_extension

from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.generator import FEEDS, Dimension, seed


def dimension(name: str, customers: int = 15) -> Dimension:
    return {each.name: each for each in FEEDS["sales"].dimensions(customers)}[name]


def rows(table: Path) -> list[tuple[object, ...]]:
    found = DeltaTable(table).to_pyarrow_table().to_pylist()
    return sorted(tuple(row.values()) for row in found)


def test_the_first_fifteen_customers_and_the_twelve_products() -> None:
    customers = dimension("customers").rows
    assert customers.schema.types == [pa.int64(), pa.string(), pa.string()]
    assert customers.num_rows == 15
    assert customers.slice(0, 5).to_pylist() == [
        {"customer_id": 1, "customer_name": "Alice", "region": "North"},
        {"customer_id": 2, "customer_name": "Bob", "region": "South"},
        {"customer_id": 3, "customer_name": "Charlie", "region": "East"},
        {"customer_id": 4, "customer_name": "Diana", "region": "West"},
        {"customer_id": 5, "customer_name": "Eve", "region": "North"},
    ]
    products = dimension("products").rows
    assert products.schema.types == [pa.int64(), pa.string(), pa.decimal128(10, 2)]
    assert products["product_id"].to_pylist() == list(range(101, 113))
    assert products.slice(11).to_pylist() == [
        {"product_id": 112, "product_name": "External Hard Drive", "price": Decimal("100.00")}
    ]


def test_more_customers_are_the_same_people_each_time() -> None:
    thirty = dimension("customers", 30).rows
    assert thirty.slice(0, 20).equals(dimension("customers", 20).rows)
    assert thirty["customer_id"].to_pylist() == list(range(1, 31))
    assert thirty["region"].to_pylist()[15:18] == ["West", "North", "South"]
    assert all(thirty["customer_name"].to_pylist())


def test_fewer_than_fifteen_customers_are_refused() -> None:
    with pytest.raises(UsageError) as refused:
        dimension("customers", 14)
    assert "14" in refused.value.what


def test_seeding_again_writes_no_version(tmp_path: Path) -> None:
    table = tmp_path / "silver" / "customers"
    assert seed(table, dimension("customers")) == 15
    before = rows(table)
    assert seed(table, dimension("customers")) == 0
    assert DeltaTable(table).version() == 0
    assert rows(table) == before
    assert [path.name for path in table.parent.iterdir()] == ["customers"]


def test_an_empty_folder_is_no_hindrance(tmp_path: Path) -> None:
    table = tmp_path / "customers"
    table.mkdir()
    assert seed(table, dimension("customers")) == 15
    assert DeltaTable(table).version() == 0


def test_only_missing_ids_are_added_and_altered_rows_stay(tmp_path: Path) -> None:
    table = tmp_path / "customers"
    seed(table, dimension("customers"))
    DeltaTable(table).update({"region": "'Moon'"}, predicate="customer_id = 2")
    DeltaTable(table).delete("customer_id = 3")
    assert seed(table, dimension("customers", 18)) == 4
    assert rows(table)[1] == (2, "Bob", "Moon")
    assert [row[0] for row in rows(table)] == list(range(1, 19))


def test_a_column_that_somebody_added_stays_and_is_null_for_new_rows(tmp_path: Path) -> None:
    table = tmp_path / "customers"
    wider = dimension("customers").rows.append_column("segment", pa.array(["gold"] * 15))
    write_deltalake(table, wider)
    assert seed(table, dimension("customers", 16)) == 1
    assert [row[3] for row in rows(table)] == ["gold"] * 15 + [None]


def test_the_table_is_plain_enough_for_any_reader(tmp_path: Path) -> None:
    table = tmp_path / "products"
    seed(table, dimension("products"))
    protocol = DeltaTable(table).protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
    import_extension("delta")
    with duckdb.connect() as connection:
        found = connection.sql(
            f"SELECT count(*), sum(price), any_value(typeof(price)) FROM delta_scan('{table}')"
        ).fetchall()
    assert found == [(12, Decimal("2540.00"), "DECIMAL(10,2)")]


def test_somebody_who_creates_the_table_meanwhile_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "customers"
    seed(table, dimension("customers"))
    with monkeypatch.context() as patch:
        patch.setattr(DeltaTable, "is_deltatable", lambda *_, **__: False)
        assert seed(table, dimension("customers", 17)) == 2
    assert [row[0] for row in rows(table)] == list(range(1, 18))
    assert [path.name for path in tmp_path.iterdir()] == ["customers"]


def test_of_two_who_add_at_once_the_second_is_told_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "customers"
    seed(table, dimension("customers"))
    merge = DeltaTable.merge

    def merge_late(self: DeltaTable, *args: object, **kwargs: object) -> object:
        monkeypatch.setattr(DeltaTable, "merge", merge)
        seed(table, dimension("customers", 20))
        return merge(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(DeltaTable, "merge", merge_late)
    with pytest.raises(TransientError) as lost:
        seed(table, dimension("customers", 20))
    assert isinstance(lost.value.__cause__, CommitFailedError)
    assert seed(table, dimension("customers", 20)) == 0
    assert [row[0] for row in rows(table)] == list(range(1, 21))


@pytest.mark.parametrize("taken_by", ["another table", "a file", "a folder of something else"])
def test_a_table_that_cannot_be_used_is_left_as_it_is(tmp_path: Path, taken_by: str) -> None:
    table = tmp_path / "customers"
    if taken_by == "another table":
        write_deltalake(table, pa.table({"id": [1]}))
    elif taken_by == "a file":
        table.write_text("mine")
    else:
        table.mkdir()
        (table / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError) as refused:
        seed(table, dimension("customers"))
    assert str(table) in refused.value.what
    assert sorted(tmp_path.rglob("*")) == before
