"""`kill -9` of the database and of the job in the midst of a load: right after the retry."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession
from support.own import OwnLake
from support.postgres import Postgres, server
from support.processes import Medallion
from support.warehouse import gate_closed, lake_with_sink, put_gate, put_gate_on_new_tables

from medallion_jobs.config import TableRef
from medallion_jobs.sinks.postgres import Loaded, Loader

GROUPS = 200
# It waits at the gate, with the rows before it on their way.
HELD_UP = GROUPS // 2


@pytest.fixture
def database() -> Iterator[Postgres]:
    with server() as made:
        yield made


@pytest.fixture
def lake(database: Postgres, tmp_path: Path, spark: SparkSession) -> OwnLake:
    """Version 0 is loaded; version 1 has other values in every row, and one row more."""
    made = lake_with_sink(tmp_path, database, keys="number")
    write(made, GROUPS, 1)
    assert load(made, spark)[0].inserted == GROUPS
    write(made, GROUPS + 1, 1000)
    return made


def write(lake: OwnLake, groups: int, factor: int) -> None:
    numbers = range(groups)
    rows = {"number": list(numbers), "n": [factor * number for number in numbers]}
    write_deltalake(lake.path("gold.totals"), pa.table(rows), mode="overwrite")


def load(lake: OwnLake, spark: SparkSession) -> list[Loaded]:
    return Loader(lake.config, TableRef("gold", "totals")).load(spark)


def state(database: Postgres) -> tuple[Any, ...]:
    """Rows, different keys, the sum, and the version that is noted."""
    (row,) = database.rows(
        "SELECT count(*), count(DISTINCT number), sum(n), "
        "(SELECT version FROM medallion_loads) FROM totals"
    )
    return row


OLD = (GROUPS, GROUPS, sum(range(GROUPS)), 0)
NEW = (GROUPS + 1, GROUPS + 1, 1000 * sum(range(GROUPS + 1)), 1)


def test_the_database_is_killed_while_rows_go_in(
    database: Postgres, lake: OwnLake, spark: SparkSession
) -> None:
    put_gate(database, "totals", "number", HELD_UP)
    loads: list[Loaded] = []
    loading = threading.Thread(target=lambda: loads.extend(load(lake, spark)))
    with gate_closed(database):
        loading.start()
        database.wait_until(lambda: database.waits_for_a_lock("INSERT INTO"))
        assert state(database) == OLD
        database.kill()
    database.start()
    loading.join(timeout=600)

    assert [one.version for one in loads] == [1]
    assert state(database) == NEW
    assert [one.way for one in load(lake, spark)] == ["none"]


@pytest.mark.parametrize("where", ["transaction", pytest.param("staging", marks=pytest.mark.slow)])
def test_the_job_is_killed(
    where: str, database: Postgres, lake: OwnLake, spark: SparkSession
) -> None:
    if where == "staging":
        put_gate_on_new_tables(database, "__staging", "c0", HELD_UP)
    else:
        put_gate(database, "totals", "number", HELD_UP)
    with gate_closed(database), Medallion(lake, "load", "gold.totals") as job:
        database.wait_until(lambda: database.waits_for_a_lock("INSERT INTO"))
        assert state(database) == OLD
        job.signal(9)
        assert job.wait() == -9
        assert state(database) == OLD

    assert [one.version for one in load(lake, spark)] == [1]
    assert state(database) == NEW
    assert database.rows("SELECT to_regclass('totals__staging')") == [(None,)]
