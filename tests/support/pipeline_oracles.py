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
from math import isfinite
from pathlib import Path
from typing import Any

from support.oracle import strict_object

Row = tuple[Any, ...]
Record = Mapping[str, Any]
Tables = dict[str, Counter[Row]]

COLUMNS: dict[str, tuple[str, ...]] = {
    "silver.app_events": ("user_id", "event_time", "event_type", "metadata", "date"),
    "gold.daily_active_users": ("date", "dau", "events_count"),
    "silver.transactions": ("transaction_id", "user_id", "amount", "timestamp", "raw_metadata"),
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
    "silver.dim_store": ("store_id", "store_name", "city", "manager", "updated_at"),
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

_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_DAY_FIRST = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (\d\d:\d\d:\d\d)")
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_PRICE_DIGITS, _PRICE_DECIMALS = 14, 4
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
    """Structs and maps as sorted pairs without nulls, lists as tuples: an absent key is null."""
    # Arrow gives a map as a list of pairs; a pair in JSON is a list.
    if isinstance(value, list) and value and all(isinstance(item, tuple) for item in value):
        value = dict(value)
    if isinstance(value, Mapping):
        return tuple(sorted((k, canonical(v)) for k, v in value.items() if v is not None))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(canonical(item) for item in value)
    return value  # type: ignore[no-any-return]


# app_events


def app_events(records: Mapping[str, Sequence[Record]]) -> Tables:
    """An event is its user and its moment; without a user, or a time that is one, it is none."""
    events: dict[tuple[str, datetime], Row] = {}
    for record in records["app_logs"]:
        user, at = _text(record.get("user_id")), _moment(record.get("event_time"))
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
    """Inside an object of no declared type all is text."""
    return canonical(_texts(value)) if isinstance(value, Mapping) else None


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
    As in bronze, where amounts are texts and users are numbers, a number and its text are one
    and the same as well. A row whose user is there, but is no whole number, is quarantined.
    """
    rows = {
        frozenset(
            (name, str(_whole(value)) if name == "user_id" else _text(value))
            for name, value in record.items()
            if value is not None
        )
        for record in records["transactions"]
        if record.get("user_id") is None or _whole(record["user_id"]) is not None
    }
    silver = []
    for value in map(dict, rows):
        amount = _to_numeric(value.get("amount"))
        if amount >= 0:
            at = _moment(value.get("timestamp"))
            metadata = _metadata_of_text(value.get("raw_metadata"))
            user = _whole(value.get("user_id"))
            silver.append((value.get("transaction_id"), user, amount, at, metadata))
    users: dict[Any, list[Row]] = defaultdict(list)
    for row in silver:
        users[row[1]].append(row)
    return {
        "silver.transactions": Counter(silver),
        "gold.user_summary": Counter(_summary(user, rows) for user, rows in users.items()),
    }


def _summary(user: Any, rows: Sequence[Row]) -> Row:
    # The feed's amounts are multiples of a half: their sum is exact, in any order.
    total = sum(row[2] for row in rows)
    ids = sum(row[0] is not None for row in rows)
    last = max((row[3] for row in rows if row[3]), default=None)
    return (user, total, ids, last, "VIP" if total > _VIP_ABOVE else "Regular")


def _to_numeric(text: str | None) -> float:
    """pandas.to_numeric(errors="coerce").fillna(0) of one text; what is infinite is 0, too."""
    if text is None or not _NUMBER.fullmatch(text):
        return 0.0
    return float(text) if isfinite(float(text)) else 0.0


def _metadata_of_text(text: str | None) -> Hashable:
    """The source that the JSON text names, and all its other keys as texts."""
    try:
        found = json.loads(text or "null")
    except json.JSONDecodeError:
        return None
    if not isinstance(found, dict):
        return None
    others = {key: inner for key, inner in _texts_of(text or "") if key != "source"}
    return canonical({"source": _text(found.get("source")), "other": others or None}) or None


def _texts_of(json_text: str) -> Iterator[tuple[str, str | None]]:
    """The keys of a JSON object, and their values as they stand in its text."""
    decoder, place = json.JSONDecoder(), json_text.index("{") + 1
    while (quote := json_text.find('"', place)) >= 0:
        key, place = decoder.raw_decode(json_text, quote)
        start = re.compile(r"\s*:\s*").match(json_text, place)
        assert start
        value, place = decoder.raw_decode(json_text, start.end())
        is_text = value is None or isinstance(value, str)
        yield key, value if is_text else json_text[start.end() : place]


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
    device, at = _text(record.get("device_id")), _iso(record.get("timestamp"))
    store = _text(record.get("store_id"))
    product, customer = (_whole(record.get(name)) for name in ("product_id", "customer_id"))
    price = _price(record.get("price"))
    if None in (device, at, store) or price is None or price <= 0 or product not in products:
        return
    for place, (_, name, region, valid_from, valid_to) in enumerate(customers.get(customer, ())):
        # What was first known of a customer holds for the time before, too.
        if (not place or valid_from <= at) and (valid_to is None or at < valid_to):
            of_product = products[product][1:3]
            known = (device, store, product, *of_product, customer, name, region)
            yield (*known, price, at.date())


def _product(record: Record) -> Row:
    price, at = _price(record["list_price"]), _iso(record["updated_at"])
    return (record["product_id"], record["product_name"], record["category"], price, at)


def _store(record: Record) -> Row:
    known = (record["store_name"], record["city"], record["manager"])
    return (_text(record["store_id"]), *known, _iso(record["updated_at"]))


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
        at = _iso(record["updated_at"])
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
    """Four more digits than a price may have, as Spark's avg of a decimal has."""
    average = sum(prices, Decimal(0)) / len(prices)
    return average.quantize(Decimal("0.00000001"), ROUND_HALF_UP)


# Values


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _whole(value: Any) -> int | None:
    text = _text(value)
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def _price(value: Any) -> Decimal | None:
    """A number of few enough digits; zeros behind the last decimal do not count."""
    text = _text(value)
    if text is None or not _NUMBER.fullmatch(text):
        return None
    found = Decimal(text.strip())
    is_price = abs(found) < 10**_PRICE_DIGITS and found == round(found, _PRICE_DECIMALS)
    return found if is_price else None


def _moment(value: Any) -> datetime | None:
    """A moment as ISO 8601 has it, or day first; without a zone it is UTC."""
    if found := _DAY_FIRST.fullmatch((_text(value) or "").strip()):
        day, month, year, time = found.groups()
        return _iso(f"{year}-{month}-{day}T{time}")
    return _iso(value)


def _iso(value: Any) -> datetime | None:
    """A moment as ISO 8601 has it, to the microsecond; without a zone it is UTC."""
    found = _ISO.fullmatch((_text(value) or "").strip())
    if not found:
        return None
    day, time, fraction, zone = found.groups()
    # Python 3.10 reads a fraction of six digits, and no Z.
    fraction = f"{fraction or '':0<6}"[:6]
    offset = "+00:00" if zone in (None, "Z") else zone
    try:
        at = datetime.fromisoformat(f"{day}T{time}.{fraction}{offset}")
    except ValueError:
        return None
    return at.astimezone(timezone.utc)


ORACLES: dict[str, Callable[[Mapping[str, Sequence[Record]]], Tables]] = {
    "app_events": app_events,
    "transactions": transactions,
    "iot_sales": iot_sales,
}
