"""S2 and S5: ten small files have landed, and somebody types `medallion run`."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from bench.contenders import CONFIG, Contender, ours, settings, with_customers
from bench.environment import medallion
from bench.inputs import CUSTOMERS, REGIONS, Gold, Input
from bench.loads import Series
from bench.processes import run

FILES, ROWS = 10, 10  # what lands before each start
_PER_FOLDER = 2_700  # files in a date folder: a million in a year
_AT_ONCE = 1_000_000  # rows that are added to silver in one commit
_LARGE_BATCHES = "bronze.sales.source.max_files_per_trigger=50000"  # to make a lake sooner
_AGE = 600.0  # seconds; folders that changed a moment ago are listed again
_BASE_LINE = (
    '{"order_id": "base", "customer_id": 1, "product_id": 101, "quantity": 1,'
    ' "order_timestamp": "2026-02-01 00:00:00"}\n'
)
_BASE_GROUP = (REGIONS[0], "2026-02-01")


def increments(
    source: Input, contenders: Sequence[Contender], rounds: int, folder: Path
) -> dict[str, Any]:
    """Each contender loads the input once, and then, round by round, what has landed since.

    Raises:
        Failed: ours failed, or its gold is wrong.
    """
    series = Series(contenders)
    expected = source.expected()
    for one in series.taking_part():
        first = one.beginner or one
        series.round(first, source, folder / one.name, expected, counts=False)
    for _ in range(rounds):
        source.add(FILES, ROWS)
        expected = source.expected()
        for one in series.taking_part():
            series.round(one, source, folder / one.name, expected)
    return series.results()


@dataclass(frozen=True)
class Size:
    """How much a lake has read before: files in the ledger, rows in silver."""

    files: int
    rows: int

    def __str__(self) -> str:
        return f"{self.files:,} files, {self.rows:,} rows"


def growth(sizes: Sequence[Size], rounds: int, folder: Path) -> dict[str, Any]:
    """The same start on lakes of several sizes, with gold in incremental and in complete mode.

    Raises:
        Failed: a run failed, or gold is wrong.
    """
    lakes = [Grown(folder / f"lake-{number}", size) for number, size in enumerate(sizes)]
    made: dict[str, float] = {}
    for lake in lakes:
        started = time.monotonic()
        lake.make()
        made[str(lake.size)] = round(time.monotonic() - started, 1)
        print(f"  {lake.size}: made in {made[str(lake.size)]:,.0f} s", flush=True)
    turns = [(lake, mode) for mode in ("incremental", "complete") for lake in lakes]
    series = Series([lake.contender(mode) for lake, mode in turns])
    for number in range(rounds + 1):  # the first of each reads all of silver
        for (lake, _), one in zip(turns, series.taking_part(), strict=True):
            lake.source.add(FILES, ROWS)
            series.round(one, lake.source, lake.work, lake.expected(), counts=number > 0)
    return {**series.results(), "made_in": made}


class Grown:
    """A lake that has read many files, and has still more rows in silver.

    Bronze has one row of each old file. Silver's other rows are appended by delta-rs.

    Attributes:
        source: the files that land from now on; the old ones are in date folders beside them.
        work: the work folder.
    """

    def __init__(self, folder: Path, size: Size) -> None:
        self.size = size
        self.source = Input(folder / "input")
        self.work = folder / "work"
        self._base: Counter[tuple[str, str]] = Counter()

    def make(self) -> None:
        """Files, bronze, ledger and silver; gold has read nothing yet."""
        self.source.make(0, 0)
        _old_files(self.source.sales, self.size.files)
        self._base[_BASE_GROUP] = self.size.files
        with_customers(self.source, self.work)
        self.source.add(1, 1)
        options = settings(self.source, self.work, _LARGE_BATCHES)
        lines = [
            [medallion(), "run", layer, "--progress", "json", *options]
            for layer in ("bronze", "silver")
        ]
        run(lines, self.work / "log.txt", limit=7_200)
        self._append(self.size.rows - self.size.files)

    def expected(self) -> Gold:
        """What gold has to say: the old rows, and those of the files that landed since."""
        return dict(self._base + Counter(self.source.expected()))

    def contender(self, mode: str) -> Contender:
        """`medallion run` on this lake, with a gold table in this mode."""
        table = f"by_region_day_{mode}"
        text = CONFIG.read_text(encoding="utf-8").partition("\nqueries:")[0]
        text = text.replace("  sales_by_region_day:", f"  {table}:")
        config = self.work / f"{mode}.yaml"
        config.write_text(text.replace("mode: complete", f"mode: {mode}"), encoding="utf-8")
        plain = ours(f"medallion_{mode}_{self.size.files}", f"{mode} gold, {self.size}")

        def lines(source: Input, work: Path) -> list[list[str]]:
            options = settings(source, work)
            options[1] = str(config)
            return [[medallion(), "run", "all", "--progress", "json", *options]]

        return replace(plain, lines=lines, gold=f"lake/gold/{table}")

    def _append(self, rows: int) -> None:
        import duckdb
        from deltalake import DeltaTable, write_deltalake

        table = self.work / "lake" / "silver" / "sales"
        regions = ", ".join(f"'{region}'" for region in REGIONS)
        with duckdb.connect() as database:
            for first in range(0, rows, _AT_ONCE):
                last = min(first + _AT_ONCE, rows)
                database.execute(
                    f"""
                    CREATE OR REPLACE TABLE added AS
                    SELECT 'r-' || range AS order_id, 1 + range % {CUSTOMERS} AS customer_id,
                      [{regions}][1 + (range % {CUSTOMERS}) % {len(REGIONS)}] AS region,
                      101 + range % 97 AS product_id, (1 + range % 9)::INTEGER AS quantity,
                      DATE '2026-01-01' + (range % 28)::INTEGER AS order_date,
                      TIMESTAMPTZ '2026-02-01 00:00:00+00' AS load_time
                    FROM range({first}, {last})
                    """
                )
                sums = database.execute(
                    "SELECT region, order_date::VARCHAR, sum(quantity)::BIGINT FROM added"
                    " GROUP BY ALL"
                )
                for region, day, quantity in sums.fetchall():
                    self._base[region, day] += quantity
                write_deltalake(table, _as(DeltaTable(table), database), mode="append")


def _as(table: Any, database: Any) -> Any:
    """The rows of `added`, with exactly the table's columns."""
    import pyarrow as pa

    found = database.execute("FROM added").to_arrow_table()
    return found.cast(pa.schema(table.schema().to_arrow()))


def _old_files(sales: Path, count: int) -> None:
    """Date folders of files of one row, quicker than by opening each by its whole path."""
    line = _BASE_LINE.encode()
    then = time.time() - _AGE
    for number in range(-(-count // _PER_FOLDER)):
        folder = sales / str(date(2024, 1, 1) + timedelta(days=number))
        folder.mkdir()
        place = os.open(folder, os.O_RDONLY)
        for file in range(min(_PER_FOLDER, count - number * _PER_FOLDER)):
            opened = os.open(f"{file:06}.json", os.O_CREAT | os.O_WRONLY, dir_fd=place)
            os.write(opened, line)
            os.utime(opened, (then, then))
            os.close(opened)
        os.close(place)
        os.utime(folder, (then, then))
