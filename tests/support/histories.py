"""Random lives of a silver table: rows that come, come late, change, and go."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delta.tables import DeltaTable
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = """
    id bigint, region string, product bigint, amount decimal(12,2), huge decimal(38,0),
    quantity int, ratio double, at timestamp, status string
"""
START = datetime(2026, 3, 27, tzinfo=timezone.utc)  # two days before Europe's clocks change

MEASURES = """
      rows: count(*)
      amounts: count(amount)
      total: sum(amount)
      huge_total: sum(huge)
      pieces: {sum: quantity}
      least: min(amount)
      most: {max: ratio}
      last_seen: max(at)
      paid: {sum: amount, where: "status = 'paid'"}
"""
OTHERS = """
      products: {count_distinct: product}
      about: {approx_count_distinct: product}
      mean: avg(amount)
      mean_pieces: avg(quantity)
      opening: {first: amount, by: [at, id]}
      closing: {last: amount, by: [at, id]}
      spread: max(amount) - min(amount)
"""
GOLD = {
    "additive": f"group_by: [region, product]\n    measures:{MEASURES}",
    "all_kinds": f"group_by: [region]\n    measures:{MEASURES}{OTHERS}"
    "    columns: {segment: \"if(total > 100, 'large', 'small')\", twice: total * 2}",
    "days": f"period: {{of: at, by: day}}\n    time_zone: Europe/Madrid\n    measures:{MEASURES}",
    "hours": "where: quantity > 0\n    group_by: [region]\n    period: {of: at, by: hour}\n"
    f"    time_zone: Asia/Kolkata\n    measures:{MEASURES}",
    "visits": "group_by: [region]\n    period: {of: at, by: session, gap: 30m}\n"
    f"    measures:{MEASURES}{OTHERS}",
    "by_amount": "group_by: [huge, status]\n    measures: {rows: count(*), total: sum(amount)}",
}


def config(names: Sequence[str], *, changing: bool) -> str:
    """A pipeline with these gold tables in incremental mode, and complete where that can be."""
    silver = "write: upsert, keys: id, sequence: at, " if changing else ""
    columns = "id, region, product, amount, huge, quantity, ratio, at, status"
    modes = ("incremental",) if changing else ("incremental", "complete")
    tables = [
        f"  {name}_{mode}:\n    from: silver.sales\n    mode: {mode}\n    {GOLD[name]}\n"
        for name in names
        for mode in modes
    ]
    return f"""\
pipeline: histories
bronze:
  sales: {{source: {{format: json, schema: "{" ".join(SCHEMA.split())}"}}}}
silver:
  sales: {{from: bronze.sales, {silver}select: [{columns}]}}
gold:
{"".join(tables)}"""


@dataclass
class History:
    """What happens to one silver table, by one seed."""

    spark: SparkSession
    path: Path
    seed: int
    changing: bool

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._made = 0

    def steps(self, count: int) -> Iterator[str]:
        """Lets so many things happen, one at a time; gives what each was."""
        yield self._begin()
        for _ in range(count):
            deeds = [self._insert, self._insert_late]
            if self.changing:
                deeds += [self._update, self._delete, self._upsert, self._several]
            yield self._random.choice(deeds)()

    def _begin(self) -> str:
        empty = self.spark.createDataFrame([], SCHEMA)
        made = DeltaTable.createIfNotExists(self.spark).location(str(self.path))
        made.addColumns(empty.schema).property("delta.enableChangeDataFeed", "true").execute()
        return self._insert()

    def _insert(self, *, late: bool = False) -> str:
        rows = [self._row(late=late) for _ in range(self._random.randint(1, 12))]
        self._frame(rows).write.format("delta").mode("append").save(str(self.path))
        return f"inserted {len(rows)}"

    def _insert_late(self) -> str:
        return self._insert(late=True) + " late"

    def _update(self) -> str:
        new = self._row()
        # A key of another group, too: the row goes from one to the other.
        values = {name: F.lit(new[name]) for name in self._random.sample(("region", "amount"), 1)}
        self._table.update(self._some(), values)
        return "updated some"

    def _delete(self) -> str:
        if self._random.random() < 0.2:
            region = self._random.choice(REGIONS)
            self._table.delete(F.col("region").eqNullSafe(region))
            return f"deleted region {region}"
        self._table.delete(self._some())
        return "deleted some"

    def _upsert(self) -> str:
        rows = [self._row(identity=self._random.randint(0, self._made)) for _ in range(5)]
        new = self._frame(list({row["id"]: row for row in rows}.values())).alias("new")
        merge = self._table.alias("old").merge(new, "old.id = new.id")
        merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()
        return "upserted some"

    def _several(self) -> str:
        """Commits that one batch takes together; a row may come and go within it."""
        return ", ".join((self._insert(), self._update(), self._delete(), self._upsert()))

    def _some(self) -> Any:
        return F.expr(f"pmod(id, {self._random.randint(2, 5)}) = 0")

    @property
    def _table(self) -> DeltaTable:
        return DeltaTable.forPath(self.spark, str(self.path))

    def _frame(self, rows: list[dict[str, Any]]) -> DataFrame:
        return self.spark.createDataFrame([tuple(r.values()) for r in rows], SCHEMA).coalesce(1)

    def _row(self, *, identity: int | None = None, late: bool = False) -> dict[str, Any]:
        if identity is None:
            self._made += 1
            identity = self._made
        some = self._random
        minutes = some.randint(0, 60) if late else 60 + identity * some.choice((7, 20, 45))
        return {
            "id": identity,
            "region": some.choice(REGIONS),
            "product": some.choice((1, 2, None)),
            "amount": some.choice(AMOUNTS),
            "huge": some.choices(HUGE, HOW_OFTEN)[0],
            "quantity": some.choice((-1, 0, 3, None)),
            "ratio": some.choice((0.5, -0.0, 0.0, float("nan"), float("-inf"), None)),
            "at": None if some.random() < 0.05 else START + timedelta(minutes=minutes),
            "status": some.choice(("paid", "open", None)),
        }


REGIONS = ("north", "south", "", None)
AMOUNTS = (Decimal("-5.00"), Decimal("0.00"), Decimal("10.50"), Decimal("0.01"), None)
# Of 38 digits, with room for a few of them in a sum.
HUGE = (
    Decimal("1" + "2" * 36 + "3"),
    -Decimal("1" + "2" * 36 + "3"),
    Decimal(0),
    Decimal("10000000000000000000000000000000000001"),
    None,
)
HOW_OFTEN = (1, 1, 7, 1, 5)
