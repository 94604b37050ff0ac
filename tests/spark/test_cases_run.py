"""Cases in YAML, run: those of the pipelines that are included, and one of each kind."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from deltalake import DeltaTable
from support.lake import ROOT
from typer.testing import CliRunner

from medallion_jobs.cli import app
from medallion_jobs.errors import UsageError
from medallion_jobs.testing import LakeHarness
from medallion_jobs.testing.cases import discovery, files, recorded, report, running

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SHIPPED = sorted((ROOT / "conf" / "tests").glob("*.yaml"))
CONFIG = """
pipeline: shop
bronze:
  orders:
    source:
      format: json
      path: /nobody/may/read/this
      clean_source: {mode: delete, retention: 1s, force: true}
      schema: "id string, customer int, amount decimal(10,2)"
silver:
  orders:
    from: bronze.orders
    lookups: [{table: silver.customers, on: {id: customer}, take: [region]}]
    expect: {positive: {check: amount > 0, otherwise: quarantine}}
    columns: {loaded: _load_time}
    select: [id, customer, region, amount, loaded]
gold:
  totals:
    from: silver.orders
    group_by: [region]
    measures: {total: sum(amount)}
    mode: complete
    sinks: [{jdbc: {url: "jdbc:postgresql://nowhere/x", user: "u", password: "${env:NOT_SET}"}}]
"""
CASES = """
config: shop.yaml
cases:
  a file:
    at: 2026-02-01
    given:
      bronze.orders:
        files:
          1.json: |
            {"id": "a", "customer": 1, "amount": 1.5}
            {"id": "b", "customer": 1, "amount": -1}
            {"id": "cut
      silver.customers: [{id: 1, region: North}]
    expect:
      quarantine.bronze.orders: [{line: '{"id": "cut', file: 1.json}]
      quarantine.silver.orders: [{id: b, amount: -1, rules: [positive], file: 1.json}]
      silver.orders: [{id: a, region: South, loaded: 2026-02-01}]  # it is North
  no rows yet:
    given:
      silver.orders: [{id: a, region: North, amount: 1.5}, {id: b, region: North, amount: 2}]
  an error:
    set: ['silver.orders.expect.positive.otherwise=fail']
    given:
      bronze.orders: [{id: a, amount: -1}]
      silver.customers: {schema: "id int, region string", rows: []}
    expect: {silver.orders: []}
    error: rule_failed_batch
"""


@pytest.mark.parametrize(
    "file",
    [
        # One step of three tables in each run, the others in the full matrix.
        pytest.param(file, marks=[] if file.stem == "transactions" else pytest.mark.slow)
        for file in SHIPPED
    ],
    ids=lambda file: file.stem,
)
def test_the_pipelines_that_are_included(file: Path, spark: SparkSession) -> None:
    for case in files.read([file]):
        assert list(report.lines(running.run(case))) == []


def test_every_pipeline_has_cases() -> None:
    pipelines = {file.stem for file in (ROOT / "conf").glob("*.yaml")} - {"base"}
    assert {file.stem for file in SHIPPED} == pipelines


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "tests.yaml").write_text(CASES, encoding="utf-8")
    return tmp_path


def medallion(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["test", *words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def test_the_command(shop: Path, spark: SparkSession) -> None:
    """What differs is shown, `--update` writes it, and then nothing differs."""
    file = shop / "tests.yaml"
    code, shown = medallion(str(file), "--update")
    assert code == 0
    assert "1 of them differ" in shown
    assert "changed  a   South → North" in shown
    assert "3 cases: 2 ok, 1 failed" in shown
    text = file.read_text(encoding="utf-8")
    assert "# it is North" in text
    cases = yaml.safe_load(text)["cases"]
    assert cases["a file"]["expect"]["silver.orders"][0]["region"] == "North"
    assert cases["no rows yet"]["expect"] == {"gold.totals": [{"region": "North", "total": "3.50"}]}
    code, shown = medallion(str(file), "-k", "rows", "-k", "a file")
    assert (code, "2 cases: 2 ok, 0 failed" in shown) == (0, True)
    assert list(shop.rglob("_delta_log")) == []


def test_a_case_of_a_run_and_pytest(
    tmp_path: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = LakeHarness.of(ROOT / "conf" / "sales.yaml", tmp_path)
    lake.write_table("silver.customers", *({"customer_id": n, "region": f"R{n}"} for n in range(9)))
    lake.drop("sales", "1.json", *({"order_id": f"o-{n}", "customer_id": n} for n in range(5)))
    lake.run()
    metrics = DeltaTable(str(tmp_path / "lake/_medallion/metrics/bronze/sales"))
    (run_id,) = metrics.to_pyarrow_table().column("run_id").to_pylist()
    roots = ("--set", f"storage.root={tmp_path}/lake", "--set", f"landing.root={tmp_path}/landing")
    config = ("--config", str(ROOT / "conf" / "sales.yaml"), *roots)
    file = tmp_path / "tests" / "test_run.yaml"

    code, shown = medallion(str(file), "--from-run", run_id, "--rows", "3", *config)

    assert (code, f"written: {file}" in shown) == (0, True)
    ((name, case),) = yaml.safe_load(file.read_text(encoding="utf-8"))["cases"].items()
    assert name == f"3 rows of run {run_id}"
    assert [row["order_id"] for row in case["given"]["bronze.sales"]] == ["o-0", "o-1", "o-2"]
    regions = {row["order_id"]: row["region"] for row in case["expect"]["silver.sales"]}
    assert regions == {"o-0": "R0", "o-1": "R1", "o-2": "R2"}
    assert len(case["given"]["silver.customers"]["rows"]) == 3
    was = {row["order_id"]: row for row in lake.rows("silver.sales")}
    for row in case["expect"]["silver.sales"]:
        assert row["load_time"][:19] == was[row["order_id"]]["load_time"].isoformat()[:19]
    with pytest.raises(UsageError, match="exists already"):
        medallion(str(file), "--from-run", run_id, *config)
    with pytest.raises(UsageError, match="wrote no row"):
        recorded.write(lake.config, file, "none", 1, tmp_path / "none.yaml")

    case["expect"] = {
        "silver.sales": [{"order_id": f"o-{n}", "region": f"R{n}"} for n in (0, 1, 7)]
    }
    document = {"config": str(ROOT / "conf" / "sales.yaml"), "cases": {name: case}}
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--rootdir", str(tmp_path))
    # An environment that has the package as it was before does not have its entry point.
    plugin = "medallion_jobs.testing.pytest_plugin"
    installed = plugin in [one.value for one in entry_points(group="pytest11")]
    own = () if installed else ("-p", plugin)
    assert pytest.main([*options, *own, str(file)]) == pytest.ExitCode.TESTS_FAILED
    printed = capsys.readouterr().out
    # The row that was expected, and the one that came.
    assert all(text in printed for text in ("o-7", "R7", "o-2", "R2"))
    assert "Traceback" not in printed
    assert [case.name for case in discovery.named(file)] == [name]
