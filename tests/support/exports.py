"""Files as other programs export them, and what DuckDB makes of them by itself."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import parquet

_ORDERS = """
CREATE TABLE o AS SELECT i AS order_id, (i * 7) % 90 AS customer_id,
  ['new', 'paid', 'sent'][1 + i % 3] AS status,
  (((i * 37) % 10000) / 100)::decimal(12,2) AS amount,
  TIMESTAMP '2026-01-01' + INTERVAL (i * 61) MINUTE AS ordered_at,
  DATE '2026-01-01' + (i % 20)::int AS due
FROM range(300) t(i)
"""


@dataclass(frozen=True)
class Export:
    """A folder of files.

    Attributes:
        gold: for each gold table, a query over the files in `{folder}` for the same rows.
    """

    make: Callable[[duckdb.DuckDBPyConnection, Path], None]
    gold: dict[str, str]

    def into(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        with duckdb.connect() as database:
            database.execute("SET timezone = 'UTC'")
            database.execute(_ORDERS)
            self.make(database, folder)
        return folder


def _nested(database: duckdb.DuckDBPyConnection, folder: Path) -> None:
    for number, (where, more) in enumerate((("< 200", ""), (">= 200", ", 'web' AS channel")), 1):
        database.execute(f"""
            COPY (SELECT order_id,
              {{'id': customer_id,
                'home': {{'city': ['Rom', 'Wien'][1 + customer_id % 2],
                         'zip': lpad(customer_id::varchar, 5, '0')}}}} AS customer,
              [{{'sku': 'S' || (order_id % 5), 'price': amount}}] AS items,
              strftime(ordered_at, '%Y-%m-%dT%H:%M:%SZ') AS ordered_at, amount, status {more}
              FROM o WHERE order_id {where})
            TO '{folder}/orders_{number}.json' (FORMAT json)""")


def _german(database: duckdb.DuckDBPyConnection, folder: Path) -> None:
    rows = database.execute("SELECT order_id, status, amount, ordered_at FROM o").fetchall()
    for part in (0, 1):
        lines = [
            f'{number};"{status} ß";{_german_number(1000 * amount)};'
            f"{at:%d.%m.%Y};{at:%d.%m.%Y %H:%M}"
            for number, status, amount, at in rows
            if number % 2 == part
        ]
        head = 'Bestellnummer;Status;"Größe (cm)";Datum;Erfasst am'
        text = "\r\n".join([head, *lines, ""])
        (folder / f"bestellungen_2026-0{part + 1}.csv").write_bytes(text.encode("cp1252"))


def _german_number(number: Decimal) -> str:
    return f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


def _dumps(database: duckdb.DuckDBPyConnection, folder: Path) -> None:
    database.execute(
        "COPY (SELECT order_id, status, amount, due FROM o WHERE order_id < 100) "
        f"TO '{folder}/orders_a.csv'"
    )
    database.execute(
        "COPY (SELECT due, amount, order_id, status, customer_id FROM o WHERE order_id >= 100) "
        f"TO '{folder}/orders_b.csv'"
    )
    database.execute(
        f"COPY (SELECT order_id AS line, due FROM o) TO '{folder}/lines.tsv' (DELIMITER '\t')"
    )
    days = [f"2026-01-{1 + number % 28:02d}" for number in range(60)]
    report = "".join(f"R{n % 4},{n}.25,{day}\n" for n, day in enumerate(days))
    (folder / "report.csv").write_text("Report of January\n\nRegion,Sales total,Day\n" + report)
    sensor = "".join(f"{n}|sensor{n % 3}|{n / 8}|{day} 10:00:00\n" for n, day in enumerate(days))
    (folder / "nohead.txt").write_text(sensor)
    excel = "".join(f'A{n % 5};"x; {n}"\n' for n in range(20))
    (folder / "excel.csv").write_text("sep=;\nsku;label\n" + excel, encoding="utf-8-sig")


def _four_writers(database: duckdb.DuckDBPyConnection, folder: Path) -> None:
    def part(number: int) -> pa.Table:
        return pa.table(
            database.execute(f"SELECT * FROM o WHERE order_id % 4 = {number}").to_arrow_table()
        )

    database.execute(f"COPY (SELECT * FROM o WHERE order_id % 4 = 0) TO '{folder}/duckdb.parquet'")
    parquet.write_table(part(1), folder / "arrow.parquet", compression="zstd", use_dictionary=False)
    part(2).to_pandas(types_mapper={pa.decimal128(12, 2): None}.get).to_parquet(
        folder / "pandas.parquet"
    )
    old = {"use_deprecated_int96_timestamps": True, "compression": "snappy"}
    (folder / "old").mkdir()
    parquet.write_table(part(3), folder / "old" / "spark_2.parquet", **old)


def _gz(database: duckdb.DuckDBPyConnection, folder: Path) -> None:
    for part in range(3):
        with gzip.open(folder / f"clicks-{part}.json.gz", "wt") as file:
            for n in range(100):
                at = f"2026-02-{1 + n % 28:02d}T10:00:{n % 60:02d}.5Z"
                user = None if n % 9 == 0 else n
                click = {"click_id": f"c{part}-{n}", "at": at, "page": f"/p{n % 6}", "ms": n * 1.5}
                file.write(json.dumps({**click, "user": user}) + "\n")
    database.execute(
        "COPY (SELECT order_id AS user_id, due AS signed_up FROM o) "
        f"TO '{folder}/users.csv.gz' (HEADER)"
    )


def _mixed(database: duckdb.DuckDBPyConnection, folder: Path) -> None:
    for name in ("payments", "items/2026", "bestellungen"):
        (folder / name).mkdir(parents=True)
    (folder / "README.md").write_text("# no data\n")
    database.execute(
        "COPY (SELECT order_id AS payment_id, amount, due AS paid_on, status AS method FROM o) "
        f"TO '{folder}/payments/p.parquet'"
    )
    _nested(database, folder / "items" / "2026")
    _german(database, folder / "bestellungen")
    for file in (folder / "bestellungen").glob("*.csv"):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()


_OF_NESTED = """
SELECT CAST(CAST(ordered_at AS TIMESTAMP) AS DATE), status, count(*), sum(amount::decimal(18,2))
FROM read_json('{folder}/*.json') GROUP BY ALL"""
_OF_GERMAN = """
SELECT strptime(Datum, '%d.%m.%Y')::date, Status, count(*),
  sum(replace(replace("Größe (cm)", '.', ''), ',', '.')::decimal(18,2))
FROM read_csv('{folder}/*', delim=';', all_varchar=true, encoding='CP1252') GROUP BY ALL"""
_OF_PARQUET = """
SELECT CAST(ordered_at AS DATE), status, count(*), sum(amount)
FROM read_parquet({folder}) GROUP BY ALL"""

EXPORTS = {
    "nested": Export(_nested, {"orders_by_day": _OF_NESTED}),
    "german": Export(_german, {"bestellungen_by_day": _OF_GERMAN}),
    "dumps": Export(
        _dumps,
        {
            "orders_by_day": "SELECT due, status, count(*), sum(amount::decimal(18,2)) FROM "
            "read_csv('{folder}/orders_*.csv', union_by_name=true) GROUP BY ALL",
            "report_by_day": 'SELECT "Day", Region, count(*), sum("Sales total"::decimal(18,2)) '
            "FROM read_csv('{folder}/report.csv', skip=2) GROUP BY ALL",
            "nohead_by_day": "SELECT column3::date, column1, count(*), sum(column2::decimal(18,3)) "
            "FROM read_csv('{folder}/nohead.txt', delim='|', header=false) GROUP BY ALL",
            "lines_by_day": "SELECT due, count(*) FROM read_csv('{folder}/lines.tsv') GROUP BY ALL",
            "excel_by_sku": "SELECT sku, count(*) FROM "
            "read_csv('{folder}/excel.csv', delim=';', skip=1, header=true) GROUP BY ALL",
        },
    ),
    "writers": Export(
        _four_writers,
        {
            "writers_by_day": _OF_PARQUET.replace("{folder}", "'{folder}/*.parquet'"),
            "old_by_day": _OF_PARQUET.replace("{folder}", "'{folder}/old/*.parquet'"),
        },
    ),
    "gz": Export(
        _gz,
        {
            "clicks_by_day": 'SELECT CAST(CAST("at" AS TIMESTAMP) AS DATE), page, count(*), '
            'sum(ms::decimal(18,2)), sum("user") '
            "FROM read_json('{folder}/*.json.gz') GROUP BY ALL",
            "users_by_day": "SELECT signed_up, count(*) "
            "FROM read_csv('{folder}/users.csv.gz') GROUP BY ALL",
        },
    ),
    "mixed": Export(
        _mixed,
        {
            "items_by_day": _OF_NESTED.replace("*.json", "items/2026/*.json"),
            "bestellungen_by_day": _OF_GERMAN.replace("{folder}/*", "{folder}/bestellungen/*"),
            "payments_by_day": "SELECT paid_on, method, count(*), sum(amount) FROM "
            "read_parquet('{folder}/payments/*') GROUP BY ALL",
        },
    ),
}


def differences(export: Export, folder: Path, lake: Path) -> dict[str, list[object]]:
    """The rows of gold tables that the files do not give, and the other way round."""
    found: dict[str, list[object]] = {}
    with duckdb.connect() as database:
        database.execute("SET timezone = 'UTC'")
        for table, query in export.gold.items():
            raw = database.execute(query.replace("{folder}", str(folder))).fetchall()
            gold = database.execute(f"FROM delta_scan('{lake}/gold/{table}')").fetchall()
            assert raw
            found[table] = [*({*raw} ^ {*gold})]
    return {table: rows for table, rows in found.items() if rows}
