"""DuckDB alone, three tables in one file: the floor, for there is hardly less that can be done.

INPUT WORK
"""

import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable


def main():
    source, work = (Path(argument) for argument in sys.argv[1:])
    work.mkdir(parents=True, exist_ok=True)
    customers = DeltaTable(source / "customers").to_pyarrow_table()
    with duckdb.connect(str(work / "lake.duckdb")) as database:
        database.register("customers", customers)
        database.execute(
            f"""
            CREATE TABLE bronze AS
            SELECT *, now() AS load_time
            FROM read_json('{source}/landing/sales/*.json', format = 'newline_delimited',
              filename = 'input_file', columns = {{order_id: 'VARCHAR', customer_id: 'BIGINT',
              product_id: 'BIGINT', quantity: 'BIGINT', order_timestamp: 'TIMESTAMP'}});
            CREATE TABLE silver AS
            SELECT order_id, customer_id, region, product_id, quantity,
              order_timestamp::DATE AS order_date, load_time
            FROM bronze LEFT JOIN customers USING (customer_id);
            CREATE TABLE gold AS
            SELECT region, order_date, sum(quantity)::BIGINT AS total_quantity
            FROM silver GROUP BY ALL;
            """
        )


main()
