"""What becomes of each change of a config that docs/changes.md names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql.types import StructType
from support.changes import BASE, CASES, COMMANDS, Case, page
from support.own import OwnLake
from typer.testing import CliRunner

from medallion_jobs.cli import app
from medallion_jobs.errors import MedallionError
from medallion_jobs.lake.tables import ddl
from medallion_jobs.observe.events import Note, TableFailed
from medallion_jobs.plan import Plan, TablePlan, plan
from medallion_jobs.testing import LakeHarness

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AT = "2026-01-01 10:00:00"
BY_CHANGE = {case.change: case for case in CASES}
# Those that CI also runs; the others with `-m slow`.
QUICK = ("an expression in `columns`", "a column removed from `select`", "`schema_evolution`")


DDL = (
    "id bigint not null, `a b` array<struct<x: int, y string>>, c decimal(12,2) comment 'it is'",
    "a TINYINT, b byte, c SHORT, d Integer, e long, f real, g double, h timestamp_ltz, i binary",
    "a dec, b numeric(5), c decimal( 38 , 18 ), d timestamp_ntz, e variant, f boolean, g date",
    "a map<string, array<map<int, struct<`b``c`: date not null>>>>",
    "Id string, `ä.b` int, c: string, _d int",
)


@pytest.fixture(scope="module")
def ran(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> OwnLake:
    """A lake after two batches of each table. To be read, or copied."""
    lake = OwnLake.of(tmp_path_factory.mktemp("plans"), BASE)
    for batch in (1, 2):
        orders = [
            {"id": f"o{batch}{n}", "customer": "c1", "amount": "2.50", "qty": n, "at": AT}
            for n in (1, 2, 3)
        ]
        lake.land("plan_orders", f"{batch}.json", *orders, at=batch)
        customer = {"customer": f"c{batch}", "region": "north", "since": AT}
        lake.land("plan_customers", f"{batch}.json", customer, at=batch)
        lake.land("plan_events", f"{batch}.json", {"id": f"e{batch}", "n": batch}, at=batch)
        lake.run()
    return lake


def changed(lake: OwnLake, case: Case, folder: Path) -> OwnLake:
    """The lake under the changed config, which lies in a folder of its own."""
    if case.change == "`storage.root`":
        lake = replace(lake, storage=folder / "another")

    class Changed(OwnLake):
        @property
        def config_file(self) -> Path:
            return folder / "changed.yaml"

    made = Changed(lake.storage, lake.landing, lake.settings)
    made.configure(case.config)
    return made


def of(found: Plan, table: str) -> TablePlan:
    (one,) = [one for one in found.tables if one.table == table]
    return one


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.change)
def test_the_plan_of_a_change(ran: OwnLake, case: Case, tmp_path: Path) -> None:
    found = plan(changed(ran, case, tmp_path).config)
    table = of(found, case.table)
    assert table.state == case.state, found
    assert found.exit_code == case.exit_code
    assert bool(table.old_rows) == case.old_rows
    if case.part:
        assert case.part in {change.part for change in table.changes}
    if case.code:
        assert case.code in {refusal.code for refusal in table.refusals}
    if case.command.startswith(COMMANDS):
        *_, command = table.commands
        start = "medallion " + case.command.replace("TABLE", case.table)
        assert command.startswith(start)
        assert ("--downstream" in command) == ("--downstream" in start)
    else:
        assert table.commands == ()


def test_the_page_is_made_of_these_cases() -> None:
    text = (Path(__file__).parents[2] / "docs" / "changes.md").read_text(encoding="utf-8")
    assert text == page()
    assert len(CASES) >= 30


def test_without_a_change_there_is_nothing_to_do(ran: OwnLake, tmp_path: Path) -> None:
    found = plan(ran.config)
    assert {table.state for table in found.tables} == {"unchanged"}
    assert (found.exit_code, len(found.tables)) == (0, 9)


def test_new_rows_of_a_dimension_are_no_change(ran: OwnLake, tmp_path: Path) -> None:
    lake = ran.copy(tmp_path)
    customers = DeltaTable(lake.path("silver.plan_customers"))
    write_deltalake(customers, customers.to_pyarrow_table().slice(0, 1), mode="append")
    assert {table.state for table in plan(lake.config).tables} == {"unchanged"}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.change, marks=() if case.change in QUICK else pytest.mark.slow)
        for case in CASES
        if case.change != "a sink added, changed or removed"  # it needs a database
    ],
)
def test_a_run_does_what_the_plan_says(
    ran: OwnLake, case: Case, tmp_path: Path, spark: SparkSession
) -> None:
    lake = changed(ran.copy(tmp_path / "copy"), case, tmp_path)
    more = {"id": "x", "customer": "c1", "amount": "9.99", "qty": 9, "at": AT}
    lake.land("plan_orders", f"{CASES.index(case)}.json", more, at=9)
    before = plan(lake.config)
    codes = {one.code for table in before.tables for one in table.refusals} | {case.late_code}
    if before.exit_code == 2 or case.late_code:
        harness = LakeHarness(lake.config)
        with pytest.raises(MedallionError) as refused:
            harness.run()
        each = {event.code for event in harness.events if isinstance(event, TableFailed)}
        assert (each or {refused.value.code}) <= codes
        return
    events = lake.run()
    table = of(plan(lake.config), case.table)
    assert table.state == ("unchanged" if case.state != "removed" else "removed")
    # What a run has accepted is not forgotten.
    assert table.old_rows == of(before, case.table).old_rows
    notes = [event for event in events if isinstance(event, Note) and event.table == case.table]
    news = [note.facts["about"] for note in notes if note.what == "new logic from this run on"]
    assert bool(news) == case.old_rows
    if news:
        assert case.part in news[0]
        assert of(before, case.table).commands[-1] in news[0]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (
            "a column renamed in `columns` and `select`",
            "config_has_mistakes",  # Spark, too, misses the column
            [
                "silver.plan_orders: it has columns that its config no longer selects: total",
                "gold.plan_regions: it reads the column total",
                "gold.plan_days: it reads the column total",
            ],
        ),
        (
            "a column removed from `select`",
            "run_would_be_refused",
            ["silver.plan_orders: it has columns that its config no longer selects: customer"],
        ),
        (
            "an expression in `columns` that gives another type",
            "run_would_be_refused",
            ["silver.plan_orders has other column types", "total: it is decimal"],
        ),
    ],
)
def test_validate_names_all_that_a_run_would_refuse(
    ran: OwnLake, tmp_path: Path, spark: SparkSession, *, change: str, error: str, said: list[str]
) -> None:
    lake = changed(ran, BY_CHANGE[change], tmp_path)
    answer = CliRunner().invoke(app, ["validate", *lake.arguments])
    assert isinstance(answer.exception, MedallionError), answer.output
    assert answer.exception.code == error
    assert [words for words in said if words not in answer.stderr] == []
    # Spark has checked the rest.
    assert ("silver.plan_typed: id string, qty int" in answer.stdout) == ("run" in error)


def test_validate_without_a_change(ran: OwnLake, spark: SparkSession) -> None:
    assert "gold.plan_days: day date" in ran.cli("validate")


@pytest.mark.parametrize("text", DDL)
def test_ddl_is_read_as_spark_reads_it(text: str, spark: SparkSession) -> None:
    assert ddl.columns(text) == StructType.fromDDL(text)
