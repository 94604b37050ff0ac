"""Files of cases: what is refused before a JVM starts, how rows are compared, shown and written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml as pyyaml
from deltalake import CommitProperties, write_deltalake
from pyspark.sql.types import StructType

from medallion_jobs.config import ConfigError, Origin, load
from medallion_jobs.config.tree import node_of
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables import ddl
from medallion_jobs.masking import remember
from medallion_jobs.testing.cases import discovery, files, recorded, report, running, updating
from medallion_jobs.testing.cases.compare import Difference, differences
from medallion_jobs.testing.cases.values import NotOfTypeError, inferred, plain, typed

ROOT = Path(__file__).parents[2]
PLUGIN = "medallion_jobs.testing.pytest_plugin"
HERE = Origin("a file", 1)
CONFIG = """
pipeline: shop
bronze:
  orders:
    source: {format: json, schema: "id string, customer int, at timestamp, amount decimal(10,2)"}
  visits:
    source: {format: json}
silver:
  orders:
    from: bronze.orders
    lookups: [{table: silver.customers, on: {id: customer}, take: [region]}]
    schema: "id string, region string, amount decimal(10,2)"
    write: upsert
    keys: id
    sequence: at
  visits: {from: bronze.visits}
gold:
  totals:
    from: silver.orders
    group_by: [region]
    measures: {total: sum(amount)}
    mode: incremental
"""
WRONG = """
config: shop.yaml
cases:
  every mistake:
    at: tomorrow
    givn: {}
    given:
      bronze.orders:
        - {idd: a, customer: one, amount: 1.234}
      silver.custmers: []
      silver.customers: []
    expect:
      silver.orders: [{id: 7, regin: North}]
      quarantine.gold.totals: []
      gold.totals: {count: many}
    then:
      - foo: 1
  nothing is given:
    expect: {silver.orders: [], silver.visits: []}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def in_file(shop: Path, text: str) -> Path:
    file = shop / "orders.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_every_mistake_is_found_at_once_with_its_line(shop: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        files.read([in_file(shop, WRONG)])
    found = [(p.origin.line, p.path.rpartition(".")[2], p.nearest) for p in refused.value.problems]
    assert found == [
        (5, "at", None),
        (6, "givn", "given"),
        (9, "idd", "id"),
        (9, "customer", None),
        (9, "amount", None),
        (10, "custmers", "silver.customers"),
        (11, "customers", None),  # neither rows nor a schema: its columns are not known
        (13, "id", None),
        (13, "regin", "region"),
        (14, "totals", None),
        (15, "count", None),
        (17, "foo", None),
        (18, "given", None),  # silver.customers
        (18, "given", None),  # bronze.visits, whose columns are inferred
    ]
    assert "a number of at most 10 digits, 2 after the point" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [("cases: {}\n", 1), ("config: shop.yaml\ncases: {a: {}, a: {}}\n", 2), ("config: [\n", None)],
)
def test_a_file_that_is_none(shop: Path, text: str, line: int | None) -> None:
    with pytest.raises(ConfigError) as refused:
        files.read([in_file(shop, text)])
    assert line is None or refused.value.problems[0].origin.line == line


def test_mistakes_of_the_config_are_those_of_the_config(shop: Path) -> None:
    (shop / "shop.yaml").write_text(CONFIG.replace("group_by", "groupby"))
    with pytest.raises(ConfigError, match="the config has"):
        files.read([in_file(shop, "config: shop.yaml\ncases: {a: {}}\n")])


def test_the_case_of_the_page_is_valid(shop: Path) -> None:
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    first, then = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[:2]
    text = (first + then).replace("../sales.yaml", str(ROOT / "conf" / "sales.yaml"))
    (case,) = files.read([in_file(shop, text)])
    assert [len(step.expect) for step in case.steps] == [2, 1]


def test_cases_are_chosen_by_name(shop: Path) -> None:
    text = "config: shop.yaml\ncases: {one: {}, two: {}, onetwo: {}}\n"
    file = in_file(shop, text)
    assert [case.name for case in files.read([file], wanted=["ONE"])] == ["one", "onetwo"]
    assert [case.name for case in files.read([file], wanted=["*two"])] == ["two", "onetwo"]


def test_where_files_of_cases_are_looked_for(shop: Path) -> None:
    file = in_file(shop, "config: shop.yaml\ncases: {}\n")
    (shop / "other.yaml").write_text("cases: {}\n")
    assert discovery.in_places([shop]) == discovery.in_places([file]) == [file]
    for place, what in ((shop / "other.yaml", "no cases"), (shop / "none", "does not exist")):
        with pytest.raises(UsageError, match=what):
            discovery.in_places([place])


EXACT: list[tuple[str, object, object]] = [
    ("int", 3, 3),
    ("double", 3, 3.0),
    ("decimal(10,2)", 1.1, Decimal("1.10")),
    ("decimal(38,18)", "0.000000000000000001", Decimal("1E-18")),
    ("date", "2026-01-31", date(2026, 1, 31)),
    ("timestamp", "2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=timezone.utc)),
    ("timestamp", "2026-01-31", datetime(2026, 1, 31, tzinfo=timezone.utc)),
    ("timestamp_ntz", "2026-01-31T12:00:00", datetime(2026, 1, 31, 12)),
    ("binary", "0x00ff", b"\x00\xff"),
    ("array<int>", [1, None], [1, None]),
    ("map<string,int>", {"a": 1}, [("a", 1)]),
    ("struct<a: int, b: struct<c: date>>", {"a": 1}, {"a": 1, "b": None}),
]


@pytest.mark.parametrize(("kind", "written", "value"), EXACT)
def test_a_value_of_a_type_and_back(kind: str, written: object, value: object) -> None:
    found = ddl.kind(kind)
    assert found is not None
    assert typed(node_of(written, HERE), found) == value
    assert typed(node_of(plain(value, found), HERE), found) == value


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        *(("int", wrong) for wrong in (1.5, "1", True, 2**31)),
        *(("boolean", wrong) for wrong in (1, "true")),
        *(("string", wrong) for wrong in (1, True, {"a": 1})),
        *(("decimal(3,2)", wrong) for wrong in (1.234, 10, "x", "NaN", "1E+40")),
        *(("date", wrong) for wrong in ("yesterday", 20260131)),
        ("timestamp_ntz", "2026-01-31T12:00:00Z"),
        ("struct<a: int>", {"b": 1}),
        ("array<int>", 1),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, written: object) -> None:
    found = ddl.kind(kind)
    assert found is not None
    with pytest.raises(NotOfTypeError):
        typed(node_of(written, HERE), found)


def test_types_that_nobody_declares_come_from_the_values() -> None:
    values: dict[str, list[Any]] = {
        "bigint": [1, None],
        "double": [1, 1.5],
        "boolean": [True],
        "string": ["a", 1],
        "array<bigint>": [[], [1]],
        "struct<a:bigint,b:string>": [{"a": 1}, {"b": "x"}],
    }
    for kind, given in values.items():
        assert inferred(node_of(value, HERE) for value in given).simpleString() == kind


def case_of(shop: Path, expect: str) -> Any:
    given = "{bronze.orders: [], silver.customers: [{id: 1, region: North}]}"
    text = f"config: shop.yaml\ncases:\n  one:  # why\n    given: {given}\n    expect:\n{expect}"
    (case,) = files.read([in_file(shop, text)])
    return case


COLUMNS = ddl.columns("id string, region string, amount decimal(10,2)") or StructType()
CAME = [
    {"id": "a", "region": "North", "amount": Decimal("1.00")},
    {"id": "b", "region": "South", "amount": Decimal("2.50")},
    {"id": "b", "region": "South", "amount": Decimal("2.50")},
]


def compared(shop: Path, expect: str) -> list[Difference]:
    case = case_of(shop, expect)
    (expected,) = case.steps[0].expect
    return differences(case.config, expected, (CAME, COLUMNS))


@pytest.mark.parametrize(
    "rows",
    [
        "[{id: b}, {id: a}, {id: b}]",  # some columns, in any order
        "{rows: [{id: b}, {id: a}, {id: b}], count: 3}",
        "{count: 3}",
        "[{amount: 2.5}, {amount: '2.50'}, {amount: 1}]",
    ],
)
def test_rows_that_are_as_expected(shop: Path, rows: str) -> None:
    assert compared(shop, f"      silver.orders: {rows}\n") == []


def test_rows_that_are_not(shop: Path) -> None:
    rows = "[{id: a, region: South}, {id: b, region: South}, {id: c, region: South}]"
    (found,) = compared(shop, f"      silver.orders: {rows}\n")
    assert (found.line, found.columns) == (6, ["id", "region"])
    assert [(pair.kind, pair.expected, pair.came) for pair in found.pairs] == [
        ("changed", {"id": "a", "region": "South"}, {"id": "a", "region": "North"}),
        ("missing", {"id": "c", "region": "South"}, None),  # another key is another row
        ("unexpected", None, {"id": "b", "region": "South"}),
    ]
    (found,) = compared(
        shop, "      silver.orders: {rows: [{id: a}], count: 1, all_columns: true}\n"
    )[1:]
    assert found.columns == ["id", "region", "amount"]
    assert (
        compared(shop, "      silver.orders: []\n")[0].what
        == "0 rows expected, 3 rows came, 3 of them differ"
    )


def test_what_a_person_sees(shop: Path) -> None:
    case = case_of(
        shop, "      silver.orders: [{id: a, region: South}, {id: 'null', region: null}]\n"
    )
    result = running.Result(case)
    result.differences = differences(case.config, case.steps[0].expect[0], (CAME[:1], COLUMNS))
    file = shop / "orders.yaml"
    assert list(report.lines(result)) == [
        f"silver.orders: 2 rows expected, 1 row came, 2 of them differ ({file}:6)",
        "           id      region",
        "  changed  a       South → North",
        '  missing  "null"  null',
    ]
    narrow = list(report.lines(result, width=20))
    assert narrow[1:4] == ["  changed", "    id      a", "    region  South → North"]


def test_what_came_is_written_and_the_rest_of_the_file_stays(shop: Path) -> None:
    case = case_of(
        shop,
        "      # the rows\n"
        "      silver.orders: [{id: a, region: South}]\n"
        "      gold.totals: {count: 7}  # all\n",
    )
    orders, totals = case.steps[0].expect
    result = running.Result(case)
    result.came = [
        running.Came(0, orders, (CAME[:2], COLUMNS)),
        running.Came(0, totals, ([{"region": "North", "total": Decimal(1)}], COLUMNS)),
    ]
    assert updating.update([result]) == [shop / "orders.yaml"]
    text = (shop / "orders.yaml").read_text()
    assert text.count("#") == 3
    expect = pyyaml.safe_load(text)["cases"]["one"]["expect"]
    assert expect == {
        "silver.orders": [{"id": "a", "region": "North"}, {"id": "b", "region": "South"}],
        "gold.totals": {"count": 1},
    }
    assert updating.update([running.Result(case)]) == []


def test_a_case_of_rows_that_a_run_wrote(shop: Path) -> None:
    """The rows of that run alone, the keys that they look up, and no secret."""
    remember("a-secret-of-the-config")
    lake = load(shop / "shop.yaml", None, [f"storage.root={shop / 'lake'}"]).pipeline
    for run, ids in (("before", "ab"), ("wanted", "cde"), ("after", "f")):
        rows = [_order(place, name) for place, name in enumerate(ids)]
        by = CommitProperties(custom_metadata={"userMetadata": json.dumps({"run": run})})
        table = pa.Table.from_pylist(rows, schema=_ORDERS)
        path = shop / "lake" / "bronze" / "orders"
        write_deltalake(str(path), table, mode="append", commit_properties=by)
    people = [{"id": n, "region": f"R{n} a-secret-of-the-config", "born": AT} for n in range(9)]
    dimension = pa.Table.from_pylist(people).cast(_PEOPLE)
    write_deltalake(str(shop / "lake" / "silver" / "customers"), dimension)
    file = shop / "tests" / "run.yaml"

    recorded.write(lake, shop / "shop.yaml", "wanted", 2, file)

    text = file.read_text(encoding="utf-8")
    assert "run wanted" in text.partition("config:")[2]
    assert "a-secret" not in text
    (case,) = files.read([file])
    assert case.expects_nothing
    written = pyyaml.safe_load(text)["cases"]["2 rows of run wanted"]
    assert written["at"] == "2026-01-31T12:00:00Z"
    assert written["given"]["bronze.orders"] == [
        {"id": "c", "customer": 0, "at": "2026-01-31T12:00:00Z", "amount": "1.50"},
        {"id": "d", "customer": 1, "at": "2026-01-31T12:00:00Z", "amount": "1.50"},
    ]
    customers = written["given"]["silver.customers"]
    assert customers["schema"] == "id bigint, region string, born timestamp"
    assert [row["region"] for row in customers["rows"]] == ["R0 ***", "R1 ***"]
    for run, other, what in (("wanted", file, "exists"), ("no", shop / "no.yaml", "no row")):
        with pytest.raises(UsageError, match=what):
            recorded.write(lake, shop / "shop.yaml", run, 2, other)


AT = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
_TIME = pa.timestamp("us", tz="UTC")
_ORDERS = pa.schema(
    [
        *(("id", pa.string()), ("customer", pa.int32()), ("at", _TIME)),
        *(("amount", pa.decimal128(10, 2)), ("_rescued_data", pa.string())),
        *(("_input_file", pa.string()), ("_load_time", _TIME)),
    ]
)
_PEOPLE = pa.schema([("id", pa.int64()), ("region", pa.string()), ("born", _TIME)])


def _order(customer: int, name: str) -> dict[str, object]:
    order = {"id": name, "customer": customer, "at": AT, "amount": Decimal("1.50")}
    return {**order, "_input_file": "file:///home/ann/1.json", "_load_time": AT}


def test_pytest_finds_cases_and_nothing_else_and_imports_no_spark(shop: Path) -> None:
    in_file(shop, "config: shop.yaml\ncases: {one of all: {}, another: {}}\n")
    (shop / "compose.yaml").write_text("services: {}\n")
    (shop / "conftest.py").write_text(
        "import sys\n"
        "def pytest_sessionfinish():\n"
        "    print('loaded', sorted({'pyspark', 'pyarrow'} & set(sys.modules)))\n"
    )
    assert "orders.yaml::one of all\norders.yaml::another\nloaded []" in collected(shop)
    (shop / "orders.yaml").unlink()
    text = "import sys\ndef pytest_sessionfinish(): print('loaded', 'pydantic' in sys.modules)\n"
    (shop / "conftest.py").write_text(text)
    assert "loaded False" in collected(shop)


def collected(folder: Path) -> str:
    """What pytest prints that collects in a folder, with the plugin alone."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", PLUGIN],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        check=False,
    )
    return done.stdout + done.stderr
