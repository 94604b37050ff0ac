"""A workload: changes of the shop's rows, drawn from a seed.

Several statements make a transaction. Some transactions are rolled back; some are open at the
same time, and end in another order than they began. The same seed on the same rows gives the
same changes.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import Counter
from contextlib import ExitStack, closing
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg

from cdc_lab.postgres import Postgres

Key = tuple[int, ...]
KEYS = {
    "customers": ("id",),
    "products": ("id",),
    "orders": ("id",),
    "order_lines": ("order_id", "line"),
}
CHANNEL = "ALTER TABLE orders ADD COLUMN channel text"
_NAMES = ("Ada", "Björn", "Chloé", "Dmitri", "Ewa", "O'Neil", "Łukasz", "Zoë", '"Q"', "李")
_CITIES = ("Bonn", "Kraków", "London", "New\nYork", "Oslo", "São Paulo", "", None)
_STATES = ("new", "paid", "sent", "returned", None)
_STARTED = datetime(2026, 1, 1, tzinfo=timezone.utc)
# An error in place of a wait for ever, if somebody else has locked a row.
_OPTIONS = "-c lock_timeout=60s"
_MOST_IN_ONE = 6  # changes of one transaction
# More than PostgreSQL keeps within a row: later updates of other columns do not send it again.
_LONG = (9_000, 12_000)


class Workload:
    """Changes the rows of the shop.

    Args:
        database: with the shop's tables.
        seed: for all that is drawn.
        rate: changes a second; 0 is as quick as it goes.
        alter: whether `orders` gets a column half way, if it does not have it yet.

    Attributes:
        counts: what was done and committed, by kind.
    """

    def __init__(
        self, database: Postgres, *, seed: int, rate: float = 0.0, alter: bool = False
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.done = 0
        self.draw = random.Random(seed)
        self.keys: dict[str, set[Key]] = {}
        # Rows that a transaction has changed and that are not free before its end.
        self.held: dict[tuple[str, Key], Transaction] = {}
        self.has_channel = False
        self._database = database
        self._rate = rate
        self._alter = alter
        self._last = 0

    def run(self, changes: int) -> None:
        """Makes this many changes of rows, and commits them."""
        began = time.monotonic()
        with ExitStack() as opened:
            one, other = (
                opened.enter_context(closing(self._database.connect(options=_OPTIONS)))
                for _ in range(2)
            )
            self._look(one)
            while (left := changes - self.done) > 0:
                if self._alter and left * 2 <= changes and not self.has_channel:
                    one.execute(CHANNEL)
                    one.commit()
                    self.has_channel = True
                    self.counts[CHANNEL] += 1
                if left >= 4 and self.draw.random() < 0.25:  # noqa: PLR2004
                    self._at_the_same_time(one, other, left)
                else:
                    transaction = Transaction(self, one, left)
                    while transaction.goes_on:
                        transaction.step()
                    transaction.end()
                if self._rate:
                    time.sleep(max(0.0, began + self.done / self._rate - time.monotonic()))

    def new_key(self) -> int:
        """A number that no row has had."""
        self._last += 1
        return self._last

    def long_text(self) -> str:
        """Letters that do not get shorter by compression."""
        return self.draw.randbytes(self.draw.randint(*_LONG) // 2).hex()

    def moment(self) -> datetime:
        """A time to the microsecond."""
        return _STARTED + timedelta(microseconds=self.draw.randrange(10**13))

    def money(self, most: int) -> str:
        """An amount with two digits behind the point."""
        return f"{self.draw.randrange(most * 100) / 100:.2f}"

    def _at_the_same_time(self, one: Any, other: Any, left: int) -> None:
        first = Transaction(self, one, left // 2)
        second = Transaction(self, other, left // 2)
        first.step()
        while second.goes_on:
            second.step()
            if first.goes_on:
                first.step()
        second.end()
        while first.goes_on:
            first.step()
        first.end()
        self.counts["pairs of transactions open at the same time"] += 1

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        """Learns which rows there are."""
        for table, names in KEYS.items():
            query = f"SELECT {', '.join(names)} FROM {table}"
            self.keys[table] = set(connection.execute(query.encode()).fetchall())
        found = connection.execute(
            "SELECT 1 FROM information_schema.columns "
            "WHERE table_name = 'orders' AND column_name = 'channel'"
        ).fetchone()
        self.has_channel = found is not None
        self._last = max(
            (part for keys in self.keys.values() for key in keys for part in key), default=0
        )
        connection.commit()


class Transaction:
    """One transaction: some changes, and then a commit or, now and then, a rollback."""

    def __init__(self, load: Workload, connection: psycopg.Connection[Any], left: int) -> None:
        self._load = load
        self._connection = connection
        self._size = min(left, load.draw.randint(1, _MOST_IN_ONE))
        self._counts: Counter[str] = Counter()
        self._undo: list[tuple[str, Key, bool]] = []

    @property
    def goes_on(self) -> bool:
        """Whether it has changes to make."""
        return self._counts.total() < self._size

    def step(self) -> None:
        """Makes one change, or the two of a row that is deleted and made again."""
        draw = self._load.draw
        table = draw.choices(tuple(KEYS), (20, 10, 40, 30))[0]
        key = self._free(table)
        number = draw.random()
        if key is None or number < 0.4:  # noqa: PLR2004
            self._insert(table)
        elif number < 0.8:  # noqa: PLR2004
            self._update(table, key)
        elif number < 0.9:  # noqa: PLR2004
            self._delete(table, key)
        elif number < 0.95 or self._counts.total() + 2 > self._size:  # noqa: PLR2004
            self._change_key(table, key)
        else:
            self._delete(table, key)
            self._insert(table, key)

    def end(self) -> None:
        """Commits; one of twenty is rolled back."""
        load = self._load
        if load.draw.random() < 0.05:  # noqa: PLR2004
            self._connection.rollback()
            for table, key, was_added in reversed(self._undo):
                (load.keys[table].discard if was_added else load.keys[table].add)(key)
            load.counts["changes rolled back"] += self._counts.total()
        else:
            self._connection.commit()
            load.counts += self._counts
            load.counts["transactions"] += 1
            load.done += self._counts.total()
        load.held = {row: by for row, by in load.held.items() if by is not self}

    def _free(self, table: str) -> Key | None:
        """A row that this transaction may change."""
        held = self._load.held
        free = [k for k in self._load.keys[table] if held.get((table, k), self) is self]
        return self._load.draw.choice(sorted(free)) if free else None

    def _insert(self, table: str, key: Key | None = None) -> None:
        if key is None:
            key = (self._load.new_key(),)
            order = self._free("orders") if table == "order_lines" else None
            if order:
                key = (*order, *key)
            elif table == "order_lines":
                table = "orders"  # there is no order yet that could have a line
        values = {**dict(zip(KEYS[table], key, strict=True)), **self._values(table)}
        marks = ", ".join(["%s"] * len(values))
        self._execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", *values.values()
        )
        self._counts["inserts"] += 1
        self._note(table, key, added=True)

    def _update(self, table: str, key: Key) -> None:
        new = self._values(table)
        chosen = self._load.draw.sample(sorted(new), self._load.draw.randint(1, 2))
        self._set(table, key, {name: new[name] for name in chosen})
        self._counts["updates"] += 1
        self._load.held[table, key] = self

    def _delete(self, table: str, key: Key) -> None:
        where = " AND ".join(f"{name} = %s" for name in KEYS[table])
        self._execute(f"DELETE FROM {table} WHERE {where}", *key)
        self._counts["deletes"] += 1
        self._note(table, key, added=False)

    def _change_key(self, table: str, key: Key) -> None:
        new = (*key[:-1], self._load.new_key())
        self._set(table, key, dict(zip(KEYS[table], new, strict=True)))
        self._counts["changes of a key"] += 1
        self._note(table, key, added=False)
        self._note(table, new, added=True)

    def _set(self, table: str, key: Key, values: dict[str, Any]) -> None:
        changes = ", ".join(f"{name} = %s" for name in values)
        where = " AND ".join(f"{name} = %s" for name in KEYS[table])
        self._execute(f"UPDATE {table} SET {changes} WHERE {where}", *values.values(), *key)

    def _note(self, table: str, key: Key, *, added: bool) -> None:
        keys = self._load.keys[table]
        (keys.add if added else keys.discard)(key)
        self._undo.append((table, key, added))
        self._load.held[table, key] = self

    def _execute(self, statement: str, *values: Any) -> None:
        done = self._connection.execute(statement.encode(), values)
        assert done.rowcount == 1, f"{statement} with {values} changed {done.rowcount} rows"

    def _values(self, table: str) -> dict[str, Any]:
        """New values of all columns but the key."""
        draw, load = self._load.draw, self._load
        if table == "customers":
            name = draw.choice(_NAMES)
            return {
                "name": name,
                "email": draw.choice((None, f"{draw.randrange(10**6)}@example.org")),
                "city": draw.choice(_CITIES),
                "credit": load.money(10**6),
                "tags": draw.choice((None, [], ["new"], ["a,b", 'c"d', None])),
                "since": load.moment(),
            }
        if table == "products":
            return {
                "sku": uuid.UUID(int=draw.getrandbits(128)),
                "name": f"{draw.choice(('tea', 'cup', 'pot', 'jar'))} {draw.randrange(1000)}",
                "price": load.money(1000),
                "description": draw.choice((None, "short", load.long_text())),
                "sold_from": draw.choice((None, load.moment().date())),
            }
        if table == "orders":
            values = {
                "customer_id": draw.randint(1, 1000),
                "state": draw.choice(_STATES),
                "total": draw.choice((None, load.money(10**5))),
                "placed": load.moment().replace(tzinfo=None),
                "details": draw.choice((None, json.dumps({"gift": True, "n": draw.random()}))),
                "remark": draw.choice((None, "", "call first", load.long_text())),
            }
            return (
                {**values, "channel": draw.choice(("web", "shop"))} if load.has_channel else values
            )
        return {
            "product_id": draw.randint(1, 1000),
            "quantity": draw.randint(1, 20),
            "price": draw.choice((None, load.money(1000))),
        }
