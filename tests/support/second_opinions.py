"""What others make of the landed files: DuckDB of gold, pandas of a messy feed.

They know nothing of the package, nor of the oracles in plain Python: the raw files alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import duckdb

Record = Mapping[str, Any]

# A line that is not one JSON object is bronze's quarantine.
_LINES = """
    SELECT line::JSON AS j
    FROM read_csv({files}, columns = {{'line': 'VARCHAR'}}, header = false, auto_detect = false,
                  delim = '\x01', quote = '', escape = '')
    WHERE json_valid(line) AND json_type(line) = 'OBJECT'
"""

# Without a zone it is UTC's, as with a Z; else so many hours and minutes are to be taken off.
_MACROS = r"""
    CREATE MACRO moment(t) AS coalesce(
        try_strptime(t, ['%Y-%m-%dT%H:%M:%SZ', '%Y-%m-%dT%H:%M:%S', '%Y-%m-%d %H:%M:%S',
                         '%d/%m/%Y %H:%M:%S']),
        CASE WHEN regexp_full_match(t, '.{19}[+-]\d\d:\d\d')
             THEN try_strptime(left(t, 19), '%Y-%m-%dT%H:%M:%S')
                  - to_minutes((t[20] || '1')::INT * (t[21:22]::INT * 60 + t[24:25]::INT)) END);
    CREATE MACRO whole(t) AS CASE WHEN regexp_full_match(t, '[+-]?\d+') THEN t::BIGINT END;
    CREATE MACRO price(t) AS
        CASE WHEN regexp_full_match(t, '[+-]?\d{1,14}(\.\d{1,4})?') THEN t::DECIMAL(18,4) END;
    CREATE MACRO number(t) AS
        CASE WHEN isfinite(try_cast(t AS DOUBLE)) THEN t::DOUBLE ELSE 0::DOUBLE END
"""

_APP_EVENTS = """
    WITH events AS (
        SELECT DISTINCT j->>'user_id' AS who, moment(j->>'event_time') AS ts FROM app_logs
    )
    SELECT ts::DATE, count(DISTINCT who), count(*) FROM events
    WHERE who IS NOT NULL AND ts IS NOT NULL GROUP BY ALL
"""

_TRANSACTIONS = """
    WITH each_once AS (
        SELECT DISTINCT j->>'transaction_id' AS one, j->>'user_id' AS who,
            nullif(j->'amount', 'null') AS amount, j->>'timestamp' AS ts,
            j->>'raw_metadata' AS about
        FROM transactions
    ), clean AS (
        SELECT one, whole(who) AS who, number(amount->>'$') AS amount, moment(ts) AS ts
        FROM each_once WHERE who IS NULL OR whole(who) IS NOT NULL
    )
    -- A sum of doubles: exact, since the feed's amounts are multiples of a half.
    SELECT who, sum(amount), count(one), max(ts), if(sum(amount) > 1000, 'VIP', 'Regular')
    FROM clean WHERE amount >= 0 GROUP BY who
"""

_SALES = """
    CREATE TABLE sales AS
    WITH products AS (
        SELECT whole(j->>'product_id') AS product, arg_max(j->>'category', j->>'updated_at')
            AS category
        FROM iot_products GROUP BY ALL
    ), customers AS (
        SELECT whole(j->>'customer_id') AS customer, j->>'region' AS region,
            moment(j->>'updated_at') AS since
        FROM iot_customers
    ), states AS (
        -- A customer's first state holds for the time before, too.
        SELECT customer, region, if(since = min(since) OVER (PARTITION BY customer),
            TIMESTAMP '0001-01-01', since) AS since
        FROM customers
    ), sold AS (
        SELECT j->>'device_id' AS device, j->>'store_id' AS store,
            whole(j->>'product_id') AS product, whole(j->>'customer_id') AS customer,
            price(j->>'price') AS price, moment(j->>'timestamp') AS ts
        FROM iot_sales_raw
    )
    SELECT ts::DATE AS day, store, region, category, price
    FROM sold JOIN products USING (product)
    ASOF JOIN states ON sold.customer = states.customer AND sold.ts >= states.since
    WHERE price > 0 AND device IS NOT NULL AND store IS NOT NULL
"""

# By pipeline: what is made first, and gold's tables.
_GOLD: dict[str, tuple[str, dict[str, str]]] = {
    "app_events": ("", {"daily_active_users": _APP_EVENTS}),
    "transactions": ("", {"user_summary": _TRANSACTIONS}),
    "iot_sales": (
        _SALES,
        {
            "fact_daily_sales": "SELECT day, store, region, category, sum(price) FROM sales "
            "GROUP BY ALL",
            "revenue_by_region": "SELECT region, sum(price) FROM sales GROUP BY ALL",
            # Half up at eight digits, in whole numbers: DuckDB's own mean is a double.
            "avg_order_size": """
                SELECT store, (((2 * sum(price * 100000000)::HUGEINT + count(*)) // (2 * count(*)))
                    ::DECIMAL(28,0) * 0.00000001::DECIMAL(9,8)), count(*)
                FROM sales GROUP BY ALL""",
        },
    ),
}


def gold_by_duckdb(pipeline: str, landing: Path) -> dict[str, Counter[tuple[Any, ...]]]:
    """Rows of every gold table of a pipeline, by its name, from the files that have landed."""
    first, queries = _GOLD[pipeline]
    with duckdb.connect() as duck:
        duck.execute(_MACROS)
        for folder in landing.iterdir():
            files = sorted(str(path) for path in folder.glob("*.json"))
            duck.execute(f"CREATE VIEW {folder.name} AS {_LINES.format(files=files)}")
        duck.execute(first or "SELECT 1")
        found = {table: duck.execute(sql).fetchall() for table, sql in queries.items()}
    return {table: Counter(tuple(map(_in_utc, row)) for row in found[table]) for table in found}


def _in_utc(value: Any) -> Any:
    return value.replace(tzinfo=timezone.utc) if isinstance(value, datetime) else value


def amounts_by_pandas(lines: Sequence[Record]) -> Counter[tuple[Any, ...]]:
    """Id, user and amount of each row that pandas leaves of a feed's good lines."""
    import pandas as pd

    df = pd.DataFrame([one for one in lines if _has_a_user(one)], dtype=object)
    # Lists have no hash, and what is compared is what stands in the line.
    df = df[~df.map(json.dumps).duplicated()]
    df["amount"] = pd.to_numeric(df["amount"], errors="coerce").fillna(0)
    df = df[df["amount"] >= 0]
    df = df.astype(object).where(df.notna(), None)
    return Counter(
        (one, user if user is None else int(user), float(amount))
        for one, user, amount in zip(df["transaction_id"], df["user_id"], df["amount"], strict=True)
    )


def _has_a_user(line: Record) -> bool:
    """Whether the user is a whole number, or missing; others are in quarantine."""
    user = line.get("user_id")
    return user is None or str(user).isdigit()
