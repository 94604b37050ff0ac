"""`transactional`: half a transaction is not shown, held to real messages of Debezium.

The messages of each topic stay in their order; between the topics, any order can come. After
each batch the table must be what the complete transactions come to, as computed here.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import functions as F
from support.debezium import lines_of
from support.written import Written

from medallion_jobs.errors import DataError
from medallion_jobs.testing import LakeHarness

PIPELINE = """\
pipeline: whole
bronze:
  messages:
    source:
      format: json
      schema: topic string, partition int, offset bigint, key string, value string, headers string
silver:
  orders: &table
    from: bronze.messages
    where: topic in ('shop.public.orders', 'shop.transaction')
    envelope:
      format: debezium
      column: value
      key: key
      tables: public.orders
      schema: id bigint, customer int, state string
      new_columns: rescue
    apply_changes:
      keys: id
      sequence_by: [_commit_lsn, _lsn]
      apply_as_deletes: _op = 'd'
      transactional: true
      except_column_list: _rescued_data
"""
Message = dict[str, Any]


def interleaved(lines: Iterable[str], seed: int) -> list[Message]:
    """The messages, in their order within each topic, and in any order between them."""
    topics: dict[str, list[Message]] = defaultdict(list)
    for line in lines:
        message = json.loads(line)
        if message["topic"] in ("shop.public.orders", "shop.transaction"):
            topics[message["topic"]].append(message)
    draw, mixed = random.Random(seed), []
    while any(topics.values()):
        (topic,) = draw.choices(list(topics), [len(found) for found in topics.values()])
        mixed.append(topics[topic].pop(0))
    return mixed


def whole(messages: Iterable[Message]) -> dict[int, str]:
    """The states of the orders by the complete transactions in these messages."""
    wanted: dict[str, int] = {}
    arrived: dict[str | None, dict[int, Message]] = defaultdict(dict)
    for number, message in enumerate(messages):
        value = json.loads(message["value"] or "null")
        if value is None:
            continue
        if "status" in value:
            for table in value["data_collections"] or ():
                if table["data_collection"] == "public.orders":
                    wanted[value["id"].split(":")[0]] = table["event_count"]
            continue
        mark = value["transaction"]
        key = mark["id"].split(":")[0] if mark else None
        arrived[key][mark["total_order"] if mark else -number] = value
    changes = []
    for key, found in arrived.items():
        if key is None or len(found) == wanted.get(key):
            changes += found.values()

    def place(change: Message) -> tuple[Any, ...]:
        first, own = json.loads(change["source"]["sequence"])
        return (int(first or 0), int(own), change["op"] != "d")

    states = {}
    for change in sorted(changes, key=place):
        if change["op"] == "d":
            states.pop(change["before"]["id"], None)
        else:
            states[change["after"]["id"]] = change["after"]["state"]
    return states


@pytest.mark.parametrize(
    ("seed", "cuts"),
    [(6, 2), *(pytest.param(seed, 12, marks=pytest.mark.slow) for seed in range(1, 5))],
)
def test_half_a_transaction_is_not_shown(spark: Any, tmp_path: Path, seed: int, cuts: int) -> None:
    (tmp_path / "whole.yaml").write_text(PIPELINE)
    lake = LakeHarness.of(tmp_path / "whole.yaml", tmp_path)
    messages = interleaved(lines_of("changes", "default.plain"), seed)
    size, notes = -(-len(messages) // cuts), list[str]()
    for number in range(cuts):
        part = messages[number * size : (number + 1) * size]
        lines = (json.dumps(message) for message in part)
        lake.drop("messages", f"{number:02}.json", *lines, age=9_000 - number)
        lake.run()
        notes += [str(event) for event in lake.events]
    versions = [
        entry["version"]
        for entry in reversed(DeltaTable(str(tmp_path / "lake/silver/orders")).history())
        if entry["operation"] in ("MERGE", "WRITE")
    ]
    assert len(versions) == cuts
    shown = []
    for number, version in enumerate(versions):
        rows = lake.rows("silver.orders", version)
        shown.append({row["id"]: row["state"] for row in rows})
        assert shown[-1] == whole(messages[: (number + 1) * size]), number
    assert len(shown[-1]) > 2
    assert "not applied until the rest of its transaction is here" in " ".join(notes)
    assert "no mark of a transaction was read so far" not in " ".join(notes)


SETTINGS = {
    "apply_changes": {
        "keys": "id",
        "sequence_by": "at",
        "apply_as_deletes": "op = 'd'",
        "transactional": True,
    },
    "envelope": {"format": "debezium", "schema": "id int", "tables": ["a.t", "db.u"]},
}
BESIDE = (
    "at int, op string, _source string, _transaction_id string, _transaction_order bigint, "
    "`is set aside` boolean"
)


Row = tuple[Any, ...]


def change(at: int, key: int, place: str, table: str = "t", *, aside: bool = False) -> Row:
    """A change of a transaction: `7/2` is the second one of transaction 7."""
    number, order = place.split("/")
    source = json.dumps({"schema": "a", "db": "db", "table": table})
    if table == "u":
        source = json.dumps({"db": "db", "table": table})
    return (key, f"v{at}", at, "u", source, f"{number}:99{at}", int(order), aside)


class Table:
    """A table outside a pipeline that gets changes and marks."""

    def __init__(self, spark: Any, folder: Path) -> None:
        from medallion_jobs.refine.write.change_log import ChangeLog
        from medallion_jobs.refine.write.transactions import Transactions

        self.spark = spark
        self.made = Written(
            spark, folder / "silver" / "whole", "id int, v string", SETTINGS, BESIDE
        )
        self.log = ChangeLog(self.made.changes, ("id",))
        self.open = Transactions.beside(self.made.changes, ("id",))
        schema = spark.read.format("delta").load(str(self.made.changes)).schema
        self.open.ensure(spark, schema, is_rebuild=False)

    def write(self, *changes: Row, ends: Iterable[Row] = (), again: bool = False) -> Any:
        """Writes a new batch, or the newest one again in another run."""
        columns = "transaction string, `table` string, `count` bigint"
        marks = self.spark.createDataFrame([*ends], columns)
        self.made.batch += 0 if again else 1
        run = "run 2" if again else "run 1"
        return self.made.write_frame(self.made.frame(*changes), run=run, marks=marks)

    def replay(self, *changes: Row) -> Any:
        rows = self.made.frame(*changes).drop("is set aside")
        self.made.batch += 1
        return self.made.write_frame(rows)

    @property
    def rows(self) -> dict[int, str]:
        return {row[0]: row[1] for row in self.made.rows()}

    @property
    def waiting(self) -> list[Row]:
        rows = self.spark.read.format("delta").load(str(self.open.path))
        rows = rows.where("__change != 'marked'")
        rows = rows.select("__transaction", "__change", F.coalesce("__order", F.lit(0)))
        return sorted(tuple(row) for row in rows.collect())


def test_what_completes_a_transaction(spark: Any, tmp_path: Path) -> None:
    table = Table(spark, tmp_path)
    # The first transaction has changes of two tables; the second one is complete at once.
    done = table.write(change(1, 1, "7/1"), change(2, 2, "8/1"), ends=[("8", "a.t", 1)])
    assert table.rows == {2: "v2"}
    assert "transaction is here: 1 change of 1 transaction, since" in done.notes[0]
    # An end that comes before its changes; a change that is sent twice counts once.
    table.write(change(3, 1, "7/2"), change(3, 1, "7/2"), ends=[("7", "a.t", 2), ("7", "db.u", 1)])
    assert table.rows == {2: "v2"}
    table.write(change(4, 3, "7/3", "u"))
    assert table.rows == {1: "v3", 2: "v2", 3: "v4"}
    assert table.waiting == []
    # A row that a rule sets aside has arrived.
    table.write(
        change(5, 4, "9/1"),
        change(6, 5, "9/2", aside=True),
        ends=[("9", "a.t", 2), ("1", None, None)],
    )
    assert table.rows == {1: "v3", 2: "v2", 3: "v4", 4: "v5"}
    # It is written at once when it comes back; of an open transaction, with that.
    table.write(change(8, 6, "10/1"), change(9, 7, "10/2", aside=True))
    table.replay(change(6, 5, "9/2"), change(9, 7, "10/2"))
    assert 5 in table.rows
    assert not {6, 7} & table.rows.keys()
    table.write(ends=[("10", "a.t", 2)])
    assert (table.rows[6], table.rows[7]) == ("v8", "v9")
    assert table.waiting == []


def test_what_is_sent_again_does_not_wait(spark: Any, tmp_path: Path) -> None:
    table = Table(spark, tmp_path)
    whole_one = [change(1, 1, "7/1"), change(2, 2, "7/2"), change(3, 3, "7/3")]
    table.write(*whole_one, ends=[("7", "a.t", 3)])
    # After a crash, Debezium sends a transaction again from its middle on.
    table.write(*whole_one[1:], change(9, 9, "8/1"), ends=[("7", "a.t", 3)])
    assert table.rows == {1: "v1", 2: "v2", 3: "v3"}
    assert table.waiting == [("7", "end", 0), ("8", "upsert", 1)]
    # The mark that nothing waits for is kept for a day, in case that its changes come later.
    stored = f"delta.`{table.open.path}`"
    spark.sql(f"UPDATE {stored} SET __arrived = __arrived - INTERVAL 25 HOURS")
    table.write(change(10, 10, "9/1"), ends=[("9", "a.t", 1)])
    assert table.waiting == [("8", "upsert", 1)]


def test_a_batch_that_runs_again_takes_what_waited_before_it(spark: Any, tmp_path: Path) -> None:
    table = Table(spark, tmp_path)
    table.write(change(1, 1, "7/1"))
    rest = [change(2, 2, "7/2"), change(3, 3, "8/1")]
    table.write(*rest, ends=[("7", "a.t", 2)])
    assert table.rows == {1: "v1", 2: "v2"}
    # The process died after what waits was written, and before the table was.
    spark.sql(f"RESTORE TABLE delta.`{table.made.path}` TO VERSION AS OF 1")
    assert table.rows == {}
    table.write(*rest, ends=[("7", "a.t", 2)], again=True)
    assert table.waiting == [("8", "upsert", 1)]


def test_a_table_that_is_not_listed_stops_the_batch(spark: Any, tmp_path: Path) -> None:
    table = Table(spark, tmp_path)
    with pytest.raises(DataError, match=r"are of a\.other, and `envelope\.tables` has a\.t, db\.u"):
        table.write(change(1, 1, "7/1", "other"))
    assert table.waiting == []
    # A change that came in no transaction, such as a row of a snapshot, needs none.
    row = list(change(1, 1, "7/1", "other"))
    row[5] = None
    table.write(tuple(row))
    assert table.rows == {1: "v1"}
