"""The lab's database: a small shop, and the connector that follows its tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cdc_lab.connect import debezium
from cdc_lab.postgres import Postgres

TABLES = ("customers", "products", "orders", "order_lines")
PREFIX = "shop"
_TABLES = Path(__file__).with_name("shop.sql")


def create(database: Postgres) -> None:
    """Makes the tables that are not there."""
    database.run(*_TABLES.read_text("utf-8").strip().split(";\n"))


def topics() -> list[str]:
    """The topics of the tables, as the connector names them."""
    return [f"{PREFIX}.public.{table}" for table in TABLES]


def connector(database: Postgres, further: Mapping[str, object]) -> dict[str, object]:
    """The connector's configuration; `further` properties take the place of these."""
    tables = [f"public.{table}" for table in TABLES]
    return {
        **debezium(database.for_clients, tables, prefix=PREFIX),
        "provide.transaction.metadata": True,
        # Named, so that each of their properties can be given: key.converter.schemas.enable
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        # Otherwise a NULL is sent as the column's default.
        "value.converter.replace.null.with.default": False,
        # Truncations are sent as well.
        "skipped.operations": "none",
        # After a restart of the database, the connector tries again so soon.
        "retriable.restart.connector.wait.ms": 1000,
        **further,
    }
