"""What the tables of app_events, transactions and iot_sales must hold, from the landed files alone.

Written from the documentation, in plain Python, and independent of the package: nothing of it
is imported here. Where the rule of a table is pandas' own, the function says so and follows what
pandas documents; pandas itself is asked in `second_opinions`.

Each oracle takes the good lines of files as dictionaries, by bronze table, and gives by table
of silver and gold a multiset of rows, in the columns of `COLUMNS`.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from support.oracle import strict_object

Row = tuple[Any, ...]
Record = Mapping[str, Any]
Tables = dict[str, Counter[Row]]

COLUMNS: dict[str, tuple[str, ...]] = {
    "silver.app_events": ("user_id", "event_time", "event_type", "metadata", "date"),
    "gold.daily_active_users": ("date", "dau", "events_count"),
    "silver.transactions": ("transaction_id", "user_id", "amount", "timestamp", "metadata"),
    "gold.user_summary": (
        "user_id",
        "total_spent",
        "transaction_count",
        "last_seen",
        "segment",
    ),
    "silver.dim_product": (
        "product_id",
        "product_name",
        "category",
        "list_price",
        "updated_at",
    ),
    "silver.dim_store": ("store_id", "store_name", "manager", "updated_at"),
    "silver.dim_customer": ("customer_id", "customer_name", "region", "valid_from", "valid_to"),
    "silver.sales_enriched": (
        "device_id",
        "store_id",
        "product_id",
        "product_name",
        "category",
        "customer_id",
        "customer_name",
        "region",
        "price",
        "sale_date",
    ),
    "gold.fact_daily_sales": (
        "sale_date",
        "store_id",
        "region",
        "category",
        "daily_sales_amount",
    ),
    "gold.revenue_by_region": ("region", "revenue"),
    "gold.avg_order_size": ("store_id", "avg_order_size", "orders"),
}

_ISO = r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)"
_WITH_ZONE = re.compile(_ISO + r"(Z|[+-]\d\d:\d\d)")
_NO_ZONE = re.compile(_ISO)
_DAY_FIRST = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (\d\d:\d\d:\d\d)")
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_CENTS = re.compile(r"\s*[+-]?\d{1,8}(\.\d{1,2})?\s*")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_VIP_ABOVE = 1000


def good_lines(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The lines that hold exactly one JSON object; the others are bronze's quarantine."""
    found = []
    for path in paths:
        for line in path.read_text(encoding="utf-8").split("\n"):
            try:
                found.append(strict_object(line))
            except ValueError:
                continue
    return found


def canonical(value: Any) -> Hashable:
    """Structs as sorted pairs without nulls, lists as tuples: a key that is absent is null."""
    if isinstance(value, Mapping):
        return tuple(sorted((k, canonical(v)) for k, v in value.items() if v is not None))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(canonical(item) for item in value)
    return value  # type: ignore[no-any-return]


# app_events


def app_events(records: Mapping[str, Sequence[Record]]) -> Tables:
    """An event is its user and its moment; without a user, or a time that is one, it is none."""
    events: dict[tuple[int, datetime], Row] = {}
    for record in records["app_logs"]:
        user, at = _whole(record.get("user_id")), _moment(record.get("event_time"))
        if user is None or at is None:
            continue
        kind = _text(record.get("event_type"))
        metadata = _metadata_as_read(record.get("metadata"))
        row = (user, at, kind and kind.lower(), metadata, at.date())
        # Else it would matter which delivery of an event is kept, and no oracle could know.
        assert events.setdefault((user, at), row) == row
    days = defaultdict(list)
    for user, at in events:
        days[at.date()].append(user)
    return {
        "silver.app_events": Counter(events.values()),
        "gold.daily_active_users": Counter(
            (day, len(set(users)), len(users)) for day, users in days.items()
        ),
    }


def _metadata_as_read(value: Any) -> Hashable:
    """Inside an object of no declared type all is text, but for what is hinted."""
    if not isinstance(value, Mapping):
        return None
    return canonical(
        {
            key: _whole(inner) if key == "duration_ms" else _texts(inner)
            for key, inner in value.items()
        }
    )


def _texts(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_texts(inner) for inner in value]
    return _text(value)


# transactions


def transactions(records: Mapping[str, Sequence[Record]]) -> Tables:
    """What pandas gives with

        df.drop_duplicates()
        df["amount"] = pd.to_numeric(df["amount"], errors="coerce").fillna(0)
        df = df[df["amount"] >= 0]

    where a row is all that its line holds, and a missing key, null and NaN are one and the same.
    """
    # A number and the text of it are two values to pandas.
    rows = {
        frozenset((name, type(value), value) for name, value in record.items() if value is not None)
        for record in records["transactions"]
    }
    silver = []
    for row in rows:
        value = {name: value for name, _, value in row}
        amount = _to_numeric(value.get("amount"))
        amount = Decimal(0) if amount is None else amount
        if amount >= 0:
            at, metadata = _moment(value.get("timestamp")), _metadata_of_text(value.get("metadata"))
            one, user = value.get("transaction_id"), value.get("user_id")
            silver.append((one, user, amount, at, metadata))
    users: dict[Any, list[Row]] = defaultdict(list)
    for row in silver:
        users[row[1]].append(row)
    return {
        "silver.transactions": Counter(silver),
        "gold.user_summary": Counter(_summary(user, rows) for user, rows in users.items()),
    }


def _summary(user: Any, rows: Sequence[Row]) -> Row:
    total = sum((row[2] for row in rows), Decimal(0))
    ids = sum(row[0] is not None for row in rows)
    last = max((row[3] for row in rows if row[3]), default=None)
    return (user, total, ids, last, "VIP" if total > _VIP_ABOVE else "Regular")


def _to_numeric(value: Any) -> Decimal | None:
    """pandas.to_numeric(errors="coerce") of one value; None is NaN."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    return None if value is None else Decimal(str(value))


def _metadata_of_text(text: Any) -> Hashable:
    """The four declared columns of the JSON text; None where there are none of them."""
    try:
        found = json.loads(text or "null")
    except json.JSONDecodeError:
        return None
    if not isinstance(found, dict):
        return None
    return canonical({k: found.get(k) for k in ("channel", "items", "coupon", "device")}) or None


# iot_sales


def iot_sales(records: Mapping[str, Sequence[Record]]) -> Tables:
    """A sale with what was known of its product and, at its moment, of its customer.

    A sale of somebody who is not known yet waits: it is in no table.
    """
    products = _newest(records["iot_products"], _product, key=0)
    customers = _histories(records["iot_customers"])
    sales = [row for one in records["iot_sales_raw"] for row in _sale(one, products, customers)]
    return {
        "silver.dim_product": Counter(products.values()),
        "silver.dim_store": Counter(_newest(records["iot_stores"], _store, key=0).values()),
        "silver.dim_customer": Counter(row for rows in customers.values() for row in rows),
        "silver.sales_enriched": Counter(sales),
        "gold.fact_daily_sales": Counter(
            (*group, sum(prices)) for group, prices in _prices(sales, 9, 1, 7, 4)
        ),
        "gold.revenue_by_region": Counter(
            (*group, sum(prices)) for group, prices in _prices(sales, 7)
        ),
        "gold.avg_order_size": Counter(
            (*group, _average(prices), len(prices)) for group, prices in _prices(sales, 1)
        ),
    }


def _sale(
    record: Record, products: Mapping[Any, Row], customers: Mapping[Any, list[Row]]
) -> Iterator[Row]:
    device, at = _text(record.get("device_id")), _moment(record.get("timestamp"))
    store, product, customer = (
        _whole(record.get(name)) for name in ("store_id", "product_id", "customer_id")
    )
    price = _cents(record.get("price"))
    if None in (device, at, store) or price is None or price <= 0 or product not in products:
        return
    for _, name, region, valid_from, valid_to in customers.get(customer, ()):
        if valid_from <= at and (valid_to is None or at < valid_to):
            of_product = products[product][1:3]
            known = (device, store, product, *of_product, customer, name, region)
            yield (*known, price, at.date())


def _product(record: Record) -> Row:
    price, at = _cents(record["list_price"]), _moment(record["updated_at"])
    return (record["product_id"], record["product_name"], record["category"], price, at)


def _store(record: Record) -> Row:
    told = (record["store_id"], record["store_name"], record["manager"])
    return (*told, _moment(record["updated_at"]))


def _newest(
    records: Iterable[Record], typed: Callable[[Record], Row], *, key: int
) -> dict[Any, Row]:
    """By key, the row that was updated last: the moment stands last in a row."""
    newest: dict[Any, Row] = {}
    for row in map(typed, records):
        if row[key] not in newest or newest[row[key]][-1] < row[-1]:
            newest[row[key]] = row
    return newest


def _histories(records: Iterable[Record]) -> dict[Any, list[Row]]:
    """By customer, a row for each state, from its moment to that of the next one."""
    told: dict[Any, dict[datetime, Row]] = defaultdict(dict)
    for record in records:
        at = _moment(record["updated_at"])
        state = (record["customer_id"], record["customer_name"], record["region"])
        assert told[record["customer_id"]].setdefault(at, state) == state
    histories = {}
    for customer, states in told.items():
        moments = sorted(states)
        ends = [*moments[1:], None]
        histories[customer] = [
            (*states[begin], begin, end) for begin, end in zip(moments, ends, strict=True)
        ]
    return histories


def _prices(sales: Iterable[Row], *columns: int) -> Iterable[tuple[Row, list[Decimal]]]:
    groups: dict[Row, list[Decimal]] = defaultdict(list)
    for row in sales:
        groups[tuple(row[column] for column in columns)].append(row[8])
    return groups.items()


def _average(prices: Sequence[Decimal]) -> Decimal:
    """Four more digits than a price, as Spark's avg of a decimal has."""
    average = sum(prices, Decimal(0)) / len(prices)
    return average.quantize(Decimal("0.000001"), ROUND_HALF_UP)


# Values


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _whole(value: Any) -> int | None:
    text = _text(value)
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def _cents(value: Any) -> Decimal | None:
    text = _text(value)
    return Decimal(text) if text is not None and _CENTS.fullmatch(text) else None


def _moment(value: Any) -> datetime | None:
    """A moment in one of the forms that the feeds use; without a zone it is UTC."""
    text = _text(value) or ""
    if found := _WITH_ZONE.fullmatch(text):
        day, time, zone = found.groups()
        told = f"{day}T{time}{zone.replace('Z', '+00:00')}"
        return datetime.fromisoformat(told).astimezone(timezone.utc)
    if found := _NO_ZONE.fullmatch(text):
        return datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year, time = found.groups()
        return datetime.fromisoformat(f"{year}-{month}-{day}T{time}+00:00")
    return None


ORACLES: dict[str, Callable[[Mapping[str, Sequence[Record]]], Tables]] = {
    "app_events": app_events,
    "transactions": transactions,
    "iot_sales": iot_sales,
}
