"""Silver and gold while the tables that they stream from get columns and wider types.

Bronze itself is not run here: its table is written and altered as another query would do it,
on the same session, in the midst of a run.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, cast

import pytest
from pyspark.sql import functions as F
from support.exact import assert_exact
from support.lake import Lake, batches, order, run_streams

from medallion_jobs.config import Restart
from medallion_jobs.engine.query import Running
from medallion_jobs.engine.restarts import Restarts
from medallion_jobs.errors import MedallionError, Refused
from medallion_jobs.lake.tables.schema_change import SchemaChange
from medallion_jobs.observe.events import Event, Note, TableFailed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GOLD = "gold.sales_by_region_day"
COLUMNS = """
    order_id string, customer_id bigint, product_id bigint, quantity int,
    order_timestamp timestamp, buyer struct<name: string>,
    _rescued_data string, _input_file string, _load_time timestamp
"""
# What a batch of silver has seen of bronze, and a quantity that may become wider.
SEES_ALL = (
    "silver.sales.schema=order_id string, customer_id bigint, region string, product_id bigint, "
    "quantity bigint, order_date date, load_time timestamp not null, seen string",
    "silver.sales.columns.quantity=cast(quantity as bigint)",
    "silver.sales.columns.seen=to_json(struct(*))",
)


@dataclass
class Source:
    """Bronze's table, written and altered by the test."""

    spark: SparkSession
    lake: Lake

    def begin(self) -> None:
        self.spark.sql(f"CREATE TABLE {self._name()} ({COLUMNS}) USING delta")

    def lands(self, name: str, **fields: object) -> None:
        """A file of one order, and its row."""
        line = order(order_id=name, **fields)
        path = self.lake.drop(f"{name}.json", line)
        columns = self.spark.table(self._name()).schema
        row = F.from_json(F.lit(line), columns).alias("row")
        made = (
            self.spark.range(1)
            .select(row)
            .select("row.*")
            .withColumns({"_input_file": F.lit(f"file:{path}"), "_load_time": F.now()})
        )
        made.write.format("delta").mode("append").save(str(self.lake.path("bronze.sales")))

    def alter(self, change: str, table: str = "bronze.sales") -> None:
        self.spark.sql(f"ALTER TABLE {self._name(table)} {change}")

    def _name(self, table: str = "bronze.sales") -> str:
        return f"delta.`{self.lake.path(table)}`"


@dataclass
class Story:
    """What happens to a run's source while the run is under way, told from another thread."""

    lake: Lake
    tell: Callable[[Story], None]
    events: list[Event] = field(default_factory=list)
    _failed: BaseException | None = None

    def run(self, interval: float = 0.2) -> list[Event]:
        from medallion_jobs import gold, silver
        from medallion_jobs.engine.runner import run

        teller = threading.Thread(target=self._tell)
        teller.start()
        config = self.lake.config
        try:
            streams = [*silver.streams(config), *gold.streams(config)]
            run(config, streams, self.events.append, continuous=interval)
        finally:
            teller.join(300)
        if self._failed:
            raise self._failed
        return self.events

    def _tell(self) -> None:
        try:
            self.tell(self)
        except BaseException as failure:
            self._failed = failure
        finally:
            (self.lake.checkpoints / "silver" / "sales" / "stop").write_text("the story is over")

    def wait(self, seen: Callable[[], object], seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while not seen():
            assert time.monotonic() < deadline, f"not seen in {seconds} s: {self.events}"
            time.sleep(0.05)

    def wait_for_rows(self, count: int) -> None:
        """Until silver has read so many rows, and gold has read the same."""
        for table in ("silver.sales", GOLD):
            self.wait(lambda t=table: sum(b.rows_in or 0 for b in _new(self.events, t)) >= count)

    def forget_commit(self, table: str) -> int:
        """As if the newest batch were in its table, and Spark had not noted that it is done."""
        newest = max(b.batch for b in batches(self.events, table))
        commits = self.lake.checkpoints.joinpath(*table.split("."), "v1", "commits")
        for name in (f".{newest}.crc", str(newest)):
            # The batch is told before Spark notes it.
            self.wait((commits / name).exists)
        for name in (f".{newest}.crc", str(newest)):
            (commits / name).unlink()
        return newest

    def wait_for_start(self, table: str, columns: str) -> None:
        self.wait(lambda: columns in grown(self.events, table))


def _new(events: list[Event], table: str) -> list[Any]:
    return [b for b in batches(events, table) if not b.remarks]


def grown(events: list[Event], table: str) -> list[str]:
    """The columns with which a query went on, one entry a start."""
    return [
        e.facts["columns"]
        for e in events
        if isinstance(e, Note) and e.table == table and e.what == "restarted with new columns"
    ]


@pytest.mark.slow
def test_silver_and_gold_go_on_while_their_sources_change(lake: Lake, spark: SparkSession) -> None:
    lake = lake.having(*SEES_ALL)
    source = Source(spark, lake)
    source.begin()
    source.lands("o-1", customer_id=1, buyer={"name": "Ann"})
    replayed = []

    def tell(story: Story) -> None:
        story.wait_for_rows(1)
        # Altered before a row has the column; and a batch whose commit is to be noted again.
        replayed.append(story.forget_commit("silver.sales"))
        source.alter("ADD COLUMNS (channel string)")
        story.wait_for_start("silver.sales", "channel string")
        source.lands("o-2", customer_id=2, channel="web")
        story.wait_for_rows(2)
        source.alter("ADD COLUMNS (buyer.city string)")
        source.lands("o-3", customer_id=3, buyer={"name": "Bob", "city": "Bern"})
        story.wait_for_rows(3)
        source.alter("SET TBLPROPERTIES ('delta.enableTypeWidening' = 'true')")
        source.lands("o-4", customer_id=1, quantity=4)
        source.alter("ALTER COLUMN quantity TYPE bigint")
        source.alter("ADD COLUMNS (tail string)")
        source.lands("o-5", customer_id=1, quantity=5, tail="end")
        story.wait_for_rows(5)
        # Gold's own source: the next batch of silver leaves the column null.
        story.forget_commit(GOLD)
        source.alter("ADD COLUMNS (added string)", "silver.sales")
        story.wait_for_start(GOLD, "added string")
        source.lands("o-6", customer_id=2)
        story.wait_for_rows(6)

    events = Story(lake, tell).run()

    assert_exact(lake, layers=["silver", "gold"])
    seen = {r["order_id"]: json.loads(r["seen"]) for r in lake.rows("silver.sales")}
    assert seen["o-2"]["channel"] == "web"
    assert seen["o-3"]["buyer"] == {"name": "Bob", "city": "Bern"}
    assert seen["o-5"]["tail"] == "end"
    told = ", ".join(grown(events, "silver.sales"))
    assert told.startswith("channel string, buyer.city string, ")
    assert "quantity long" in told
    assert grown(events, GOLD) == ["added string"]
    again = [b.batch for b in batches(events, "silver.sales") if b.remarks]
    assert again == replayed
    numbers = [b.batch for b in _new(events, "silver.sales")]
    assert numbers == list(range(len(numbers)))
    assert not [e for e in events if isinstance(e, TableFailed)]


def test_a_change_in_the_midst_of_a_run_over_what_is_there(lake: Lake, spark: SparkSession) -> None:
    from medallion_jobs import silver
    from medallion_jobs.engine.runner import run

    source = Source(spark, lake)
    source.begin()
    source.lands("o-1", customer_id=1)
    events: list[Event] = []

    def emit(event: Event) -> None:
        if not batches(events, "silver.sales") and batches([event], "silver.sales"):
            source.alter("ADD COLUMNS (channel string)")
        events.append(event)

    run(lake.config, silver.streams(lake.config), emit)
    source.lands("o-2", customer_id=2, channel="web")
    # Both before the query starts, with a row from before and one from after.
    source.alter("ADD COLUMNS (tail string)")
    source.lands("o-3", customer_id=2, tail="end")
    again = run_streams(lake.config, silver.streams(lake.config))

    assert_exact(lake, layers=["silver"])
    # Delta's source plans a batch without rows to get past a version that only adds columns.
    rows = [b.rows_out for b in batches([*events, *again], "silver.sales") if b.rows_in]
    assert rows == [1, 2], grown(events, "silver.sales")


@pytest.mark.slow
def test_a_state_of_another_type_is_refused_until_it_is_made_anew(
    lake: Lake, spark: SparkSession
) -> None:
    from medallion_jobs import gold

    lake = lake.having(
        "gold.sales_by_region_day.measures.total_quantity=max(quantity)",
        "gold.sales_by_region_day.group_by=[region]",
    )
    silver = f"delta.`{lake.path('silver.sales')}`"
    spark.sql(
        f"CREATE TABLE {silver} (region string, quantity int) USING delta "
        "TBLPROPERTIES ('delta.enableTypeWidening' = 'true')"
    )
    spark.sql(f"INSERT INTO {silver} VALUES ('North', 3)")
    run_streams(lake.config, gold.streams(lake.config))
    before = lake.rows(GOLD)
    spark.sql(f"ALTER TABLE {silver} ALTER COLUMN quantity TYPE bigint")
    spark.sql(f"INSERT INTO {silver} VALUES ('North', 5000000000)")

    with pytest.raises(Refused, match=r"silver\.sales") as refused:
        run_streams(lake.config, gold.streams(lake.config))
    assert f"medallion checkpoint reset {GOLD}" in refused.value.next_step
    assert lake.rows(GOLD) == before == [{"region": "North", "total_quantity": 3}]

    lake.reset(GOLD)
    run_streams(lake.config, gold.streams(lake.config))
    assert lake.rows(GOLD) == [{"region": "North", "total_quantity": 5_000_000_000}]


SAID = """[DELTA_SCHEMA_CHANGED_WITH_VERSION] Detected schema change in version 7:
streaming source schema: root
-- id: integer (nullable = true)


data file schema: root
-- id: long (nullable = true)
-- a: struct (nullable = true)
    |-- b: struct (nullable = true)
    |    |-- c: array (nullable = true)
    |    |    |-- element: decimal(4,2) (containsNull = true)
-- d: date (nullable = true)


Please try restarting the query.
"""


def test_what_delta_says_of_a_change() -> None:
    assert SchemaChange.from_failure("[DELTA_SOURCE_TABLE_IGNORE_CHANGES] in version 7") is None
    assert SchemaChange.from_failure(SAID) == SchemaChange(
        version=7,
        fields=(
            "id long",
            "a struct",
            "a.b struct",
            "a.b.c array",
            "a.b.c.element decimal(4,2)",
            "d date",
        ),
    )


class Ended:
    """A query that died of `said`."""

    isActive = False  # noqa: N815 (Spark's name)

    def __init__(self, said: str) -> None:
        self._said = said

    def exception(self) -> Exception:
        return RuntimeError(self._said)

    def awaitTermination(self) -> None:  # noqa: N802 (Spark's name)
        pass


def test_a_change_that_is_followed_in_vain_is_told_in_the_end(lake: Lake) -> None:
    from medallion_jobs import silver

    (stream,) = silver.streams(lake.config)
    needless = {f.name: None for f in fields(Running) if f.default is MISSING} | {"stream": stream}
    one = Running(**cast("Any", {**needless, "restarts": Restarts(Restart())}))

    def starts(said: str, at_most: int) -> int:
        """How often it is started again, when each start ends as the one before."""
        for count in range(at_most):
            one.query = cast("Any", Ended(said))
            if (change := one.schema_change) is None:
                return count
            assert one.failure is None
            assert one.was_stopped
            one.prepare_restart(change)
        return at_most

    assert starts(SAID, 9) == 3
    assert one.failure is not None
    told: MedallionError = one.explain(one.failure)
    assert "bronze.sales changed its schema (id long, a struct" in told.what
    assert "medallion rebuild silver.sales" in told.next_step
    one.has_written()
    assert starts(SAID, 2) == 2
    assert starts(SAID.replace("version 7", "version 8"), 9) == 3
    assert starts("[DIVIDE_BY_ZERO]", 9) == 0
