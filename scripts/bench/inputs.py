"""What the benches load: orders as files of JSON lines, the customers, and what gold has to say."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

from bench.processes import Failed

REGIONS = ("North", "South", "East", "West")
CUSTOMERS = 15
# Files that were closed a minute ago: no reader waits for them to settle.
_AGE = 60.0

Gold = dict[tuple[str, str], int]  # (region, day) -> quantity


class Input:
    """A folder that all contenders read.

    Attributes:
        folder: holds `landing/sales/*.json` and `customers`, a Delta table.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.landing = folder / "landing"
        self.sales = self.landing / "sales"
        self.customers = folder / "customers"
        self._chance = random.Random(7)
        self._files = 0

    def make(self, files: int, rows: int) -> Input:
        """Writes the customers, and `files` files with `rows` orders each."""
        import pyarrow as pa
        from deltalake import write_deltalake

        self.sales.mkdir(parents=True)
        numbers = list(range(1, CUSTOMERS + 1))
        table = pa.table(
            {
                "customer_id": pa.array(numbers, pa.int64()),
                "customer_name": [f"customer {number}" for number in numbers],
                "region": [REGIONS[(number - 1) % len(REGIONS)] for number in numbers],
            }
        )
        write_deltalake(self.customers, table)
        self.add(files, rows)
        return self

    def add(self, files: int, rows: int, *, age: float = _AGE) -> int:
        """Lands more files, each complete at once; gives the sum of their quantities."""
        quantity = 0
        for _ in range(files):
            self._files += 1
            lines = [self._order(row) for row in range(rows)]
            quantity += sum(taken for _, taken in lines)
            hidden = self.sales / ".being-written"
            hidden.write_text("".join(line for line, _ in lines), encoding="ascii")
            if age:
                then = time.time() - age
                os.utime(hidden, (then, then))
            hidden.rename(self.sales / f"sales-{self._files:07}.json")
        return quantity

    def copy(self, sample: Path) -> None:
        """Lands a copy of a file under a name of its own."""
        self._files += 1
        hidden = self.sales / ".being-written"
        shutil.copyfile(sample, hidden)
        hidden.rename(self.sales / f"sales-{self._files:07}.json")

    def _order(self, row: int) -> tuple[str, int]:
        picked = self._chance.getrandbits(40)
        quantity = 1 + picked % 9
        line = (
            f'{{"order_id": "o-{self._files:07}-{row:07}", "customer_id": {1 + picked % CUSTOMERS},'
            f' "product_id": {101 + picked % 97}, "quantity": {quantity}, "order_timestamp":'
            f' "2026-01-{1 + picked % 28:02} {picked % 24:02}:{picked % 60:02}:00"}}\n'
        )
        return line, quantity

    def expected(self) -> Gold:
        """The gold table as DuckDB computes it from the files themselves."""
        import duckdb
        from deltalake import DeltaTable

        if not any(self.sales.glob("*.json")):
            return {}
        with duckdb.connect() as database:
            database.register("customers", DeltaTable(self.customers).to_pyarrow_table())
            rows = database.execute(
                f"""
                SELECT region, CAST(CAST(order_timestamp AS TIMESTAMP) AS DATE)::VARCHAR AS day,
                  sum(quantity)::BIGINT
                FROM read_json('{self.sales}/*.json', format = 'newline_delimited', columns = {{
                  customer_id: 'BIGINT', quantity: 'BIGINT', order_timestamp: 'VARCHAR'}})
                LEFT JOIN customers USING (customer_id)
                GROUP BY ALL
                """
            ).fetchall()
        return {(region, day): quantity for region, day, quantity in rows}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.sales.iterdir())


def read_gold(table: Path) -> Gold:
    """A contender's gold table: a Delta table, or a table `gold` in a DuckDB file.

    Raises:
        Failed: there is none, it cannot be read, or a group is in it twice.
    """
    import duckdb
    from duckdb_extensions import import_extension

    columns = "region, order_date::VARCHAR, total_quantity::BIGINT"
    try:
        if table.is_file():
            with duckdb.connect(str(table), read_only=True) as database:
                rows = database.execute(f"SELECT {columns} FROM gold").fetchall()
        else:
            import_extension("delta")
            with duckdb.connect() as database:
                sql = f"LOAD delta; SELECT {columns} FROM delta_scan('{table}')"
                rows = database.execute(sql).fetchall()
    except duckdb.Error as error:
        raise Failed(f"gold cannot be read: {str(error).splitlines()[0]}") from error
    found = {(region, day): quantity for region, day, quantity in rows}
    if len(found) < len(rows):
        raise Failed(f"gold has {len(rows)} rows for {len(found)} groups")
    return found
