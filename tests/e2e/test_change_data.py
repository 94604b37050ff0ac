"""From a database to a warehouse: the tables are those of the source, whatever is killed meanwhile.

The servers are real (`scripts/cdc-lab`), and so is the run that follows them.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from cdc_lab.lab import Lab
from cdc_lab.workload import Workload
from support.lake import ROOT
from support.processes import PATIENCE

pytestmark = pytest.mark.slow

CONFIG = ROOT / "conf" / "orders_cdc.yaml"
ORDERS = "id, customer_id, state, total, placed, remark"
CUSTOMERS = "id, name, email, city, credit, tags"
PROGRAM = (sys.executable, "-m", "medallion_jobs")
DAILY = "state, day, orders, total"


class Chain:
    """A lab, and the pipeline that follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lab = Lab(folder / "lab")
        self._run: subprocess.Popen[bytes] | None = None

    @property
    def words(self) -> list[str]:
        database = self.lab.postgres.for_clients
        url = f"jdbc:postgresql://127.0.0.1:{database['port']}/shop"
        servers = self.lab.broker.address
        settings = {
            "storage.root": self.folder / "lake",
            "landing.root": self.folder / "landing",
            "bronze.customers_changes.source.servers": servers,
            "bronze.orders_changes.source.servers": servers,
            "gold.orders_daily.sinks.0.jdbc.url": url,
            "spark.shuffle_partitions": 1,
        }
        pairs = (f"{key}={value}" for key, value in settings.items())
        return ["--config", str(CONFIG), *(word for pair in pairs for word in ("--set", pair))]

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the run, or starts it again if it has ended."""
        if self._run is None or self._run.poll() is not None:
            secret = {"WAREHOUSE_PASSWORD": str(self.lab.postgres.for_clients["password"])}
            with (self.folder / "run.log").open("ab") as log:
                self._run = subprocess.Popen(
                    [*PROGRAM, "run", "--continuous", "--interval", "1s", *self.words],
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **secret},
                    start_new_session=True,
                )
        return self._run

    def kill(self) -> None:
        """Kills the run and its JVM, as the machine would."""
        if self._run is not None:
            subprocess.run(["pkill", "-9", "-s", str(self._run.pid)], check=False)
            self._run.wait()

    def rows(self, table: str, columns: str, where: str = "true") -> list[str]:
        with duckdb.connect() as duck:
            duck.load_extension("delta")
            path = self.folder / "lake" / table
            query = f"SELECT {columns} FROM delta_scan('{path}') WHERE {where}"
            return sorted(map(repr, duck.execute(query).fetchall()))

    def source(self, query: str) -> list[str]:
        return sorted(map(repr, self.lab.postgres.rows(query)))

    def differences(self) -> list[str]:
        """Which tables are not what they should be."""
        orders = self.source(f"SELECT {ORDERS} FROM orders")
        daily = self.source(
            "SELECT state, placed::date, count(*), sum(total) FROM orders GROUP BY 1, 2"
        )
        wanted: dict[str, Callable[[], bool]] = {
            "silver.orders": lambda: self.rows("silver/orders", ORDERS) == orders,
            "silver.orders_history": lambda: (
                self.rows("silver/orders_history", ORDERS, "__END_AT IS NULL") == orders
            ),
            "silver.customers": lambda: (
                self.rows("silver/customers", CUSTOMERS)
                == self.source(f"SELECT {CUSTOMERS} FROM customers")
            ),
            "gold.orders_daily": lambda: self.rows("gold/orders_daily", DAILY) == daily,
            "the warehouse": lambda: (
                self.source(f"SELECT {DAILY} FROM warehouse.orders_daily") == daily
            ),
        }
        return [name for name, is_right in wanted.items() if not _holds(is_right)]

    def settle(self) -> None:
        """Waits until all tables are right; a run that has ended is started again."""
        until = time.monotonic() + PATIENCE
        while found := self.differences():
            said = (self.folder / "run.log").read_text()[-3_000:]
            assert time.monotonic() < until, f"{found} differ: {said}"
            self.lab.up()
            self.start()
            time.sleep(2)


def _holds(is_right: Callable[[], bool]) -> bool:
    try:
        return is_right()
    except (duckdb.Error, psycopg.Error, OSError):
        return False  # it is not there yet


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    made = Chain(tmp_path)
    yield made
    made.kill()
    made.lab.remove()


def load(chain: Chain, changes: int, seed: int, **how: Any) -> None:
    Workload(chain.lab.postgres, seed=seed, **how).run(changes)


def test_twenty_thousand_changes_come_to_the_tables_of_the_source(chain: Chain) -> None:
    chain.lab.up()
    chain.start()
    load(chain, 20_000, seed=1, alter=True)
    chain.settle()
    run = chain.start()
    run.send_signal(signal.SIGTERM)
    assert run.wait(PATIENCE) == 0


def test_twelve_kills_leave_no_difference(chain: Chain) -> None:
    choice = random.Random(12)
    chain.lab.up()
    chain.start()
    servers = [chain.lab.broker, chain.lab.connect, chain.lab.postgres]
    victims = [*servers, None] * 3
    choice.shuffle(victims)
    for seed, victim in enumerate(victims, 1):
        load(chain, 400, seed=seed, rate=200)
        time.sleep(choice.uniform(0, 5))
        if victim is None:
            chain.kill()
        else:
            victim.kill()
            time.sleep(choice.uniform(0, 3))
        chain.lab.up()
        chain.start()
    chain.settle()
