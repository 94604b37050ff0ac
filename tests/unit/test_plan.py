"""`medallion plan` itself: its text, its JSON and exit codes, orphans, Kafka, and no JVM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyspark
import pytest
from click.testing import Result
from deltalake import CommitProperties, Transaction, write_deltalake
from hypothesis import given
from hypothesis import strategies as st
from lakes import offset, table_id, touch_batches, write_table
from pyspark.sql.types import StringType
from support.pipelines import PIPELINES
from support.stored_lake import StoredLake, StoredSales, archives, unpacked
from typer.testing import CliRunner

from medallion_jobs import bronze, gold, silver
from medallion_jobs.checkpoint import Binding, Change, manifest
from medallion_jobs.cli import app
from medallion_jobs.config import Pipeline, TableRef, load
from medallion_jobs.kafkaloader.broker import Cluster, PythonBroker, Topic, UnknownError
from medallion_jobs.lake.tables import ddl
from medallion_jobs.plan import Plan, Refusal, TablePlan, plan
from medallion_jobs.plan.columns import LakeColumns
from medallion_jobs.plan.planning import OldRows
from medallion_jobs.plan.text import lines
from medallion_jobs.report.rebuild_cost import Cost

# --- the text

SQL = "coalesce(amount, 0) * quantity * (1 - coalesce(discount, 0)) + shipping_costs(region)"
TABLES = (
    TablePlan(
        "silver.orders",
        "changed",
        changes=(
            Change("columns.total", "amount", SQL, "rows"),
            Change("where", "", "quantity > 0", "rows"),
            Change("layout.comment", "a", "b", "settings"),
        ),
        old_rows=(OldRows("columns.total", "amount", SQL, 0, 7, 1_204_332),),
        readers=("gold.revenue",),
        looked_up_by=("silver.returns",),
        rebuild=Cost(1_204_332, 36, 84_100_000, 41.0),
        commands=('medallion rebuild silver.orders --downstream --reason "…"',),
    ),
    TablePlan(
        "gold.revenue",
        "refused",
        refusals=(Refusal("columns_left_config", "it has columns:\n  a\n  b", "do this"),),
    ),
    TablePlan("gold.days", "removed", commands=("medallion drop gold.days --yes",)),
    TablePlan("gold.weeks", "renamed", was="gold.week"),
    TablePlan("gold.months", "reset"),
    *(TablePlan(f"gold.table_number_{n}", "unchanged") for n in range(20)),
)


@given(st.integers(50, 200))
def test_no_line_is_longer_than_the_terminal_but_a_command(width: int) -> None:
    shown = list(lines(Plan("p", TABLES), width))
    assert [one for one in shown if len(one) > width and "$ medallion" not in one] == []
    text = " ".join(" ".join(shown).split())
    assert "1,204,332 rows of batches 0 to 6 keep the old logic of columns.total" in text
    assert "reads 1,204,332 rows in 36 files, 84.1 MB, about 41 s, then gold.revenue" in text
    assert "gold.weeks renamed, was gold.week" in text
    assert "a run would refuse 1 table of p" in text
    assert "gold.table_number_19" in text
    assert "do this" in text


def test_a_short_change_is_one_line_and_a_long_one_is_a_diff() -> None:
    shown = list(lines(Plan("p", TABLES), 80))
    assert "    layout.comment: a -> b" in shown
    assert "    + where: quantity > 0" in shown
    place = shown.index("    columns.total:")
    assert shown[place + 1] == "      - amount"
    assert shown[place + 2].startswith("      + coalesce(amount, 0)")


@pytest.mark.parametrize(
    ("tables", "code"),
    [
        (TABLES[5:], 0),
        ((TablePlan("gold.a", "added"),), 0),
        ((replace(TABLES[0], old_rows=()),), 0),
        (TABLES[:1], 1),
        (TABLES[2:3], 1),
        (TABLES[3:4], 1),
        (TABLES[4:5], 1),
        (TABLES, 2),
    ],
)
def test_the_exit_code(tables: tuple[TablePlan, ...], code: int) -> None:
    assert Plan("p", tables).exit_code == code


# --- the command, on a lake made by hand

CONFIG = """\
pipeline: tiny
bronze:
  a: {source: {format: json, schema: n bigint}}
  k: {source: {format: kafka, servers: ["h:9092"], topics: [t]}}
silver:
  b: {from: bronze.a, where: n > 0, select: [n]}
gold:
  c: {from: silver.b, group_by: [n], measures: {rows: count(*)}}
"""
# The columns that bronze adds to those of its files.
TECHNICAL = ("_rescued_data", "_input_file", "_load_time")
KAFKA = TableRef("bronze", "k")


@dataclass
class Tiny:
    """A lake after two batches of each table, and a config that may differ from it."""

    folder: Path

    def configure(self, *edits: tuple[str, str]) -> Pipeline:
        text = CONFIG
        for old, new in edits:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (self.folder / "tiny.yaml").write_text(text)
        return load(self.folder / "tiny.yaml", None, self.settings, environ={}).pipeline

    @property
    def settings(self) -> list[str]:
        return [f"storage.root={self.folder / 'lake'}", f"landing.root={self.folder / 'landing'}"]

    def medallion(self, *words: str) -> Result:
        sets = (word for one in self.settings for word in ("--set", one))
        arguments = [*words, "--config", str(self.folder / "tiny.yaml"), *sets]
        return CliRunner().invoke(app, arguments)

    def plan(self, *edits: tuple[str, str]) -> dict[str, TablePlan]:
        return {table.table: table for table in plan(self.configure(*edits)).tables}


def write(path: Path, columns: tuple[str, ...], app_id: str) -> None:
    rows = pa.table({"n": pa.array([1, 2], pa.int64())})
    for name in columns:
        is_time = name == "_load_time"
        values = pa.array([0, 0], pa.timestamp("us", tz="UTC")) if is_time else pa.array(["x", "x"])
        rows = rows.append_column(name, values)
    for batch in (0, 1):
        properties = CommitProperties(app_transactions=[Transaction(app_id, batch)])
        write_deltalake(path, rows, mode="append", commit_properties=properties)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    made = Tiny(tmp_path)
    (tmp_path / "landing" / "a").mkdir(parents=True)
    config = made.configure()
    answer = Cluster("c-1", {"t": Topic("t-1", {0: 0}, {0: 10})})
    monkeypatch.setattr(PythonBroker, "look", lambda _: answer)
    streams = [*bronze.streams(config), *silver.streams(config), *gold.streams(config)]
    for stream in streams:
        claim = stream.claim
        checkpoint = claim.query_folder.checkpoint(1)
        if claim.ref == TableRef("bronze", "a"):
            write_table(claim.source_table)
        write(claim.target_path, TECHNICAL if claim.reads is None else (), checkpoint.app_id)
        position = offset(1) if claim.ref != KAFKA else 'v1\n{}\n{"t":{"0":5}}'
        for folder in ("offsets", "commits"):
            touch_batches(checkpoint.path / folder, 1, position)
        source = claim.offsets.identity()
        assert source
        bound = Binding(
            source=claim.source,
            source_id=source,
            target_id=table_id(claim.target_path),
            logic=claim.logic,
        )
        written = manifest.first(claim.query_folder, config.pipeline).binding(bound)
        manifest.write(claim.query_folder, written)
    return made


def test_nothing_to_do_and_no_jvm(tiny: Tiny) -> None:
    answer = tiny.medallion("plan")
    assert (answer.exit_code, answer.stderr) == (0, ""), answer.stdout
    assert answer.stdout.splitlines() == [
        "unchanged: bronze.a, bronze.k, silver.b, gold.c",
        "a run is possible, and no table would keep rows of an older logic",
    ]
    assert pyspark.SparkContext._gateway is None


def test_a_program_reads_the_same(tiny: Tiny) -> None:
    tiny.configure(("n > 0", "n > 1"))
    answer = tiny.medallion("plan", "--json")
    said = json.loads(answer.stdout)
    (table,) = [one for one in said["tables"] if one["table"] == "silver.b"]
    assert (answer.exit_code, said["exit_code"]) == (1, 1)
    assert table["state"] == "changed"
    assert table["changes"] == [{"part": "where", "old": "n > 0", "new": "n > 1", "kind": "rows"}]
    assert table["commands"] == ['medallion rebuild silver.b --downstream --reason "…"']
    assert table["old_rows"][0]["before"] == 2


def test_it_writes_nothing(tiny: Tiny) -> None:
    tiny.configure(("n > 0", "n > 1"))
    before = {path: path.stat().st_mtime_ns for path in tiny.folder.rglob("*")}
    tiny.medallion("plan")
    assert {path: path.stat().st_mtime_ns for path in tiny.folder.rglob("*")} == before


def test_status_has_a_line_for_older_rows(tiny: Tiny) -> None:
    config = tiny.configure(("n > 0", "n > 1"))
    (stream,) = silver.streams(config)
    folder = stream.claim.query_folder
    recorded = manifest.read(folder)
    assert recorded
    assert recorded.current.binding
    bound = recorded.current.binding.model_copy(update={"logic": stream.claim.logic})
    manifest.write(folder, recorded.binding(bound, 2))
    said = tiny.medallion("status").stdout
    line = "old logic: silver.b: rows before batch 2 keep an older form of where"
    assert f"{line}; see: medallion plan" in said
    # The config is as the last run had it, and the older rows are still known.
    found = tiny.plan(("n > 0", "n > 1"))["silver.b"]
    assert (found.state, [row.before for row in found.old_rows]) == ("unchanged", [2])
    # Back to the first config, only rows from then on would be older; there are none yet.
    assert tiny.plan()["silver.b"].old_rows == ()


def test_a_table_of_another_pipeline_is_no_orphan(tiny: Tiny) -> None:
    found = tiny.plan(("pipeline: tiny", "pipeline: small"))
    assert {table.state for table in found.values()} == {"refused"}
    assert len(found) == 4


def test_after_a_reset_rows_of_bronze_keep_their_columns(tiny: Tiny) -> None:
    for stream in (*bronze.streams(tiny.configure()), *silver.streams(tiny.configure())):
        folder = stream.claim.query_folder
        recorded = manifest.read(folder)
        assert recorded
        manifest.write(folder, recorded.opening(2, "a test"))
    assert tiny.plan()["bronze.a"].state == "reset"
    found = tiny.plan(
        ("schema: n bigint", "schema: m bigint"),
        ("where: n > 0, select: [n]", "where: m > 0, select: [m]"),
    )
    assert [refusal.code for refusal in found["bronze.a"].refusals] == ["columns_left_config"]
    # Silver starts empty, and gets the columns that its config has.
    assert found["silver.b"].state == "reset"
    assert [refusal.code for refusal in found["gold.c"].refusals] == ["reads_removed_column"]


def test_a_schema_that_only_spark_can_read_is_left_to_it(tiny: Tiny) -> None:
    found = tiny.plan(("select: [n]", "schema: m varchar(5)"))["silver.b"]
    assert (found.state, found.refusals) == ("changed", ())


def test_columns_are_found_in_any_letter_case(tiny: Tiny) -> None:
    steps = "cast: {N: string}, rename: {_INPUT_FILE: file}, columns: {FILE: File, x: n}"
    config = tiny.configure(("where: n > 0, select: [n]", steps))
    found = LakeColumns(config).by_config[TableRef("silver", "b")]
    assert found
    string = StringType()
    assert found["n"] == string
    assert [name.lower() for name in found] == ["n", "_rescued_data", "_load_time", "file", "x"]
    assert (found["FILE"], found["x"]) == (string, string)


def test_a_manifest_that_cannot_be_read_is_a_finding(tiny: Tiny) -> None:
    file = tiny.folder / "lake/_medallion/checkpoints/silver/b/manifest.json"
    file.write_text("{")
    found = tiny.plan()["silver.b"]
    assert [refusal.code for refusal in found.refusals] == ["manifest_unreadable"]


def test_another_topic_and_another_cluster(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    added = tiny.plan(("topics: [t]", "topics: [t, u]"))["bronze.k"]
    assert (added.state, added.old_rows) == ("changed", ())
    moved = Cluster("c-2", {"t": Topic("t-1", {0: 0}, {0: 10})})
    monkeypatch.setattr(PythonBroker, "look", lambda _: moved)
    found = tiny.plan()["bronze.k"]
    assert [refusal.code for refusal in found.refusals] == ["source_replaced"]
    assert "the cluster c-2" in found.refusals[0].what


def test_a_cluster_that_does_not_answer_is_no_finding(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: PythonBroker) -> Cluster:
        raise UnknownError("down")

    monkeypatch.setattr(PythonBroker, "look", silent)
    assert tiny.plan()["bronze.k"].state == "unchanged"


# --- DDL without a JVM


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a int, `b c` ARRAY<struct<x: bigint>>", "struct<a:int,b c:array<struct<x:bigint>>>"),
        (
            "a decimal(12, 2) not null comment 'it, so', b dec",
            "struct<a:decimal(12,2),b:decimal(10,0)>",
        ),
        ("a map<string,array<date>>", "struct<a:map<string,array<date>>>"),
        ("a varchar(3)", None),
        ("a interval day", None),
        ("a int b int", None),
        ("a struct<b int", None),
        ("", None),
    ],
)
def test_ddl_is_read_or_left_to_spark(text: str, read: str | None) -> None:
    found = ddl.columns(text)
    assert (found and found.simpleString()) == read


# --- lakes of an earlier version, whose manifests know less


@pytest.fixture(scope="module", params=archives(), ids=lambda path: path.stem)
def _stored(request: pytest.FixtureRequest) -> Iterator[Path]:
    with unpacked(request.param) as place:
        yield place


@pytest.mark.usefixtures("_stored")
def test_a_lake_of_an_earlier_version_is_unchanged() -> None:
    """Also with inferred columns, dimensions, history, and many formats of SQL."""
    lakes = [StoredSales.here(), *map(StoredLake.named, PIPELINES)]
    found = {table.table: table for lake in lakes for table in plan(lake.config).tables}
    assert {name: table for name, table in found.items() if table.refusals or table.changes} == {}
    # Some were reset when the lake was stored.
    assert {table.state for table in found.values()} == {"unchanged", "reset"}
    assert len(found) > 15
