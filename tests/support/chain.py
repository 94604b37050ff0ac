"""The change data lab, and the pipeline of `conf/orders_cdc.yaml` that follows it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import duckdb
import psycopg
from cdc_lab.lab import Lab

from support.lake import ROOT
from support.processes import PATIENCE, SHORT_LIVED
from support.samples import Sample, changes_in, positions

CONFIG = ROOT / "conf" / "orders_cdc.yaml"
ORDERS = "id, customer_id, state, total, placed, details, remark"
CUSTOMERS = "id, name, email, city, credit, tags"
DAILY = "state, day, orders, total"
FOLLOWED = ("customers", "orders")
_PROGRAM = (sys.executable, "-m", "medallion_jobs")
_ORDERS_OF_SOURCE = (
    "SELECT id, customer_id, state, total, placed, details::text, remark FROM orders"
)
# What is compared with a sample. A long text is its digest; a column that is not there is null.
SAMPLED = (
    "SELECT id, customer_id, state, total, placed, details::text, md5(remark), "
    "to_jsonb(orders) ->> 'channel' FROM orders"
)
_REPLAYED = "id, customer_id, state, total, placed, details, md5(remark), channel"


class Chain:
    """A lab, its lake, and runs that follow it.

    Args:
        folder: of both.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lab = Lab(folder / "lab")
        self._run: subprocess.Popen[bytes] | None = None

    @property
    def words(self) -> list[str]:
        """The options that every command of the package takes."""
        database = self.lab.postgres.for_clients
        servers = self.lab.broker.address
        settings = {
            "storage.root": self.folder / "lake",
            "landing.root": self.folder / "landing",
            "bronze.customers_changes.source.servers": servers,
            "bronze.orders_changes.source.servers": servers,
            "gold.orders_daily.sinks.0.jdbc.url": f"jdbc:postgresql://127.0.0.1:{database['port']}/shop",
            "spark.shuffle_partitions": 1,
        }
        pairs = (f"{key}={value}" for key, value in settings.items())
        return ["--config", str(CONFIG), *(word for pair in pairs for word in ("--set", pair))]

    @property
    def environ(self) -> dict[str, str]:
        secret = str(self.lab.postgres.for_clients["password"])
        return {**os.environ, "WAREHOUSE_PASSWORD": secret}

    def does(self, *words: str) -> str:
        """What a command prints; it has to succeed."""
        line = [*_PROGRAM, *words, *self.words]
        environ = {**self.environ, "JDK_JAVA_OPTIONS": SHORT_LIVED}
        done = subprocess.run(line, check=False, capture_output=True, text=True, env=environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def lab_does(self, *words: str) -> str:
        """What `scripts/cdc-lab` prints; it has to succeed."""
        line = [sys.executable, str(ROOT / "scripts" / "cdc_lab"), *words]
        line += ["--dir", str(self.lab.folder)]
        done = subprocess.run(line, check=False, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> subprocess.Popen[bytes]:
        """Starts a run that goes on, or starts it again if it has ended."""
        if self._run is None or self._run.poll() is not None:
            with (self.folder / "run.log").open("ab") as log:
                self._run = subprocess.Popen(
                    [*_PROGRAM, "run", "--continuous", "--interval", "1s", *self.words],
                    stdout=log,
                    stderr=log,
                    env=self.environ,
                    start_new_session=True,
                )
        return self._run

    def kill(self) -> None:
        """Kills the run and its JVM, as the machine would."""
        if self._run is not None:
            subprocess.run(["pkill", "-9", "-s", str(self._run.pid)], check=False)
            self._run.wait()

    def sent(self) -> None:
        """Returns when all changes so far are in the topics: one more of each, made last, is."""
        with closing(self.lab.postgres.connect()) as connection:
            for table in FOLLOWED:
                newest = f"(SELECT max(id) FROM {table})"
                connection.execute(f"UPDATE {table} SET id = id WHERE id = {newest}".encode())
            row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
            connection.commit()
        assert row
        last = int(row[0])
        for table in FOLLOWED:
            topic = f"shop.public.{table}"
            self.lab.connect.wait_until(
                lambda topic=topic: last in {number for _, number in changes_in(self.lab, topic)},
                f"the changes of {table} are sent",
            )

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
        orders = self.source(_ORDERS_OF_SOURCE)
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

    def assert_replays(self, samples: Sequence[Sample]) -> None:
        """The versions of the history that were valid at each sample are its rows."""
        at = positions(self.lab, "shop.public.orders", samples)
        for (commit, own), sample in zip(at, samples, strict=True):
            position = f"row({commit}, {own})"
            started, ended = (
                f"row(__{end}_AT._commit_lsn, __{end}_AT._lsn)" for end in ("START", "END")
            )
            valid = f"{started} <= {position} AND (__END_AT IS NULL OR {ended} > {position})"
            replayed = self.rows("silver/orders_history", _REPLAYED, valid)
            wrong = set(replayed) ^ set(sample.rows)
            assert replayed == sample.rows, f"at {commit}, {own}: {sorted(wrong)[:6]}"


def _holds(is_right: Callable[[], bool]) -> bool:
    try:
        return is_right()
    except (duckdb.Error, psycopg.Error, OSError):
        return False  # it is not there yet
