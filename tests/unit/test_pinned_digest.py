"""The digest of a silver table's config, by which a cut-off batch knows that nothing changed.

An upgrade between a commit and what follows it must not change the digest, or the next run is
refused.
"""

from __future__ import annotations

from typing import Any

import pytest

from medallion_jobs.config import pipeline_from_values
from medallion_jobs.refine.batch_context import config_digest

TABLES: dict[str, dict[str, Any]] = {
    "plain": {"schema": "id string, at timestamp"},
    "rich": {
        "where": "kind = 'sale'",
        "parse": {"payload": "a int, b string"},
        "cast": {"at": {"to": "timestamp", "formats": ["iso"]}, "amount": "double"},
        "lookups": [
            {
                "table": "silver.customers",
                "on": ["customer_id"],
                "take": ["region"],
                "on_miss": "hold",
            }
        ],
        "columns": {"total": "price * amount"},
        "expect": {"positive": {"check": "amount > 0", "otherwise": "drop"}},
        "watermark": {"column": "at", "delay": "1h"},
        "dedupe": {"keys": "id"},
        "select": ["id", "at", "region?"],
    },
    "scd2": {
        "write": "scd2",
        "keys": "id",
        "sequence": "at",
        "deletes": {"when": "op = 'd'"},
        "surrogate_key": "sk",
        "unknown_member": {"id": "?"},
        "on_rescued": "null",
    },
}

# Stored once. A digest that differs refuses the runs of the version before.
STORED = {"plain": "9dd01ffc03b1c7e7", "rich": "c2086dbb7558868b", "scd2": "026144eda3f10626"}


def digest(**table: object) -> str:
    source = {"format": "json", "path": "in"}
    values = {
        "pipeline": "p",
        "storage": {"root": "lake"},
        "bronze": {"rows": {"source": source}},
        "silver": {"t": {"from": "bronze.rows", **table}},
    }
    return config_digest(pipeline_from_values(values, "a test").silver["t"])


@pytest.mark.parametrize("name", TABLES)
def test_an_upgrade_changes_no_digest(name: str) -> None:
    assert digest(**TABLES[name]) == STORED[name]


def test_what_changes_no_row_changes_no_digest() -> None:
    plain = digest(**TABLES["plain"])
    assert digest(**TABLES["plain"], on_rescued="quarantine") == plain
    assert digest(**TABLES["plain"], on_all_aside="fail") == plain
    assert digest(**TABLES["plain"], layout={"comment": "the orders"}) == plain


def test_what_changes_rows_changes_the_digest() -> None:
    plain = digest(**TABLES["plain"])
    assert digest(**TABLES["plain"], where="id > ''") != plain
    assert digest(**TABLES["plain"], on_rescued="null") != plain
