"""What rules have said, without a JVM: in words, in their table, by `quality` and `status`."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from deltalake import DeltaTable
from lakes import SILVER, Lake, Medallion

from medallion_jobs.config import Expectation
from medallion_jobs.lake.tables.metrics_table import MOST_FILES
from medallion_jobs.observe.rule_table import Judged, RuleCount, RuleTable
from medallion_jobs.refine.expectations import rules as words

AT = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
RULES = (
    "--set",
    "silver.sales.expect.positive.check=quantity > 0",
    "--set",
    "silver.sales.expect.positive.otherwise=drop",
    "--set",
    "silver.sales.expect.there.not_null=order_id",
)


@pytest.fixture
def log(lake: Lake) -> RuleTable:
    return RuleTable(lake.paths(SILVER).rule_metrics)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, quick_duck: None) -> None:
    from medallion_jobs.report import query

    monkeypatch.setattr("medallion_jobs.report.quality.connect", query.connect)


def said(batch: int, *broken: int, generation: int = 1, days: int = 0) -> Judged:
    rules = [
        RuleCount(name, "quantity > 0", "drop", 200, count)
        for name, count in zip(("positive", "gone"), broken, strict=False)
    ]
    at = AT + timedelta(days=days)
    return Judged(str(SILVER), generation, batch, "r-1", at, max(broken, default=0), rules)


def rule(**keys: object) -> Expectation:
    return Expectation.model_validate(keys)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"check": "quantity\n  > 0"}, "quantity > 0"),
        ({"not_null": ["a", "b"]}, "a, b not null"),
        ({"unique": "a"}, "a unique"),
        ({"in_set": {"a": ["x", 1, True]}}, "a in 'x', 1, true"),
        ({"in_set": {"a": list(range(13))}}, "a in 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"),
        (
            {"references": {"table": "silver.customers", "on": {"id": "customer_id"}}},
            "customer_id in silver.customers",
        ),
        ({"matches": {"a": "[0-9]+", "b": "x|y"}}, "a matches [0-9]+ and b matches x|y"),
        ({"between": {"a": [0, "9"]}}, "a between 0 and '9'"),
        ({"recent": {"a": "7d"}}, "a within 7d before its batch"),
    ],
)
def test_a_rule_in_words(keys: dict[str, object], text: str) -> None:
    assert words.described(rule(**keys)) == text


def test_beyond_is_more_than_the_share_and_nothing_of_no_rows() -> None:
    rules = {
        "none": rule(check="a", at_most=0),
        "some": rule(check="a", at_most="1%"),
        "free": rule(check="a", otherwise="fail"),
    }
    counts = {"none": 0, "some": 10, "free": 1_000}
    assert words.beyond(rules, counts, 1_000) == []
    assert words.beyond(rules, {**counts, "none": 1, "some": 11}, 1_000) == ["none", "some"]
    assert words.beyond(rules, dict.fromkeys(rules, 0), 0) == []
    assert words.stopping(rules) == ["free"]


def test_only_broken_rules_are_remarked() -> None:
    rules = {
        "kept": rule(check="a"),
        "put_aside": rule(check="a", otherwise="quarantine"),
        "few": rule(check="a", otherwise="fail", at_most="2.5%"),
    }
    assert words.remarks(rules, {"kept": 0, "put_aside": 12, "few": 1}, 1_000) == (
        "12 of 1,000 rows break put_aside (quarantine)",
        "1 of 1,000 rows break few (at most 2.5%)",
    )


def test_a_batch_that_is_run_again_has_its_rows_once(lake: Lake, log: RuleTable) -> None:
    assert log.append(said(0, 2, 1))
    folder = lake.paths(SILVER).rule_metrics
    assert not RuleTable(folder).append(said(0, 9, 9))
    assert RuleTable(folder).append(said(0, 3, 3, generation=2))
    assert not log.append(said(7))
    rows = DeltaTable(folder).to_pyarrow_table().to_pylist()
    told = sorted((row["generation"], row["rule"], row["broken"]) for row in rows)
    assert told == [(1, "gone", 1), (1, "positive", 2), (2, "gone", 3), (2, "positive", 3)]
    assert {(row["table_name"], row["at"], row["rows"]) for row in rows} == {(str(SILVER), AT, 200)}


def test_many_batches_are_few_data_files(lake: Lake, log: RuleTable) -> None:
    for batch in range(MOST_FILES + 3):
        assert log.append(said(batch, 0, 0))
    table = DeltaTable(lake.paths(SILVER).rule_metrics)
    assert len(table.file_uris()) == 4
    assert table.to_pyarrow_table().num_rows == 2 * (MOST_FILES + 3)


@pytest.mark.usefixtures("quick")
def test_quality_by_rule_of_the_newest_generation(medallion: Medallion, log: RuleTable) -> None:
    log.append(said(0, 99, 99))
    log.append(said(0, 2, 0, generation=2))
    log.append(said(1, 0, generation=2, days=1))
    answer = medallion("quality", "--json", *RULES)
    assert (answer.code, answer.err) == (0, "")
    positive, there, gone = json.loads(answer.out)
    assert positive == {
        "table_name": str(SILVER),
        "rule": "positive",
        "predicate": "quantity > 0",
        "action": "drop",
        "batches": 2,
        "rows": 400,
        "broken": 2,
        "share": 0.005,
        "broken_in_last_batch": 0,
        "last_broken_at": AT.isoformat(),
    }
    # Declared, and nothing judged yet.
    assert (there["rule"], there["action"], there["batches"]) == ("there", "warn", 0)
    assert there["broken_in_last_batch"] is None
    # No longer declared, and not in the last batch.
    assert (gone["rule"], gone["rows"], gone["broken_in_last_batch"]) == ("gone", 200, None)


@pytest.mark.usefixtures("quick")
def test_quality_as_a_table_and_since(medallion: Medallion, log: RuleTable) -> None:
    log.append(said(0, 2, 0))
    log.append(said(1, 3, days=1))
    header, _, *lines = medallion("quality", str(SILVER), *RULES).out.splitlines()
    assert header.split() == (
        [
            "table",
            "rule",
            "check",
            "otherwise",
            "batches",
            "rows",
            "broken",
            "share",
            "last",
            "batch",
            "last",
            "broken",
        ]
    )
    assert [line.split()[:2] for line in lines] == [
        [str(SILVER), "positive"],
        [str(SILVER), "there"],
        [str(SILVER), "gone"],
    ]
    assert lines[0].split()[-9:] == [
        *["drop", "2", "400", "5", "1.25%", "3"],
        *["2026-02-01", "12:00:00", "UTC"],
    ]
    later = json.loads(medallion("quality", "--since", "2026-02-01", "--json", *RULES).out)
    assert [(row["rule"], row["rows"], row["broken"]) for row in later] == [
        ("positive", 200, 3),
        ("there", 0, 0),
    ]


def test_quality_before_any_run_makes_nothing(lake: Lake, medallion: Medallion) -> None:
    rows = json.loads(medallion("quality", "--json", *RULES).out)
    assert [(row["rule"], row["batches"]) for row in rows] == [("positive", 0), ("there", 0)]
    assert list(lake.root.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("silver.nothing", *RULES), "silver.sales"),
        (("silver.sales",), "none"),
        (("--since", "some day", *RULES), "--since some day"),
    ],
)
def test_wrong_use_is_2(medallion: Medallion, words: tuple[str, ...], named: str) -> None:
    answer = medallion("quality", *words)
    assert (answer.code, answer.out) == (2, "")
    assert named in answer.err


@pytest.mark.usefixtures("ran")
def test_status_tells_the_rows_broken_in_the_newest_batch(
    medallion: Medallion, log: RuleTable
) -> None:
    def broken(*options: str) -> list[int | None]:
        return [row["broken"] for row in json.loads(medallion("status", "--json", *options).out)]

    assert broken(*RULES) == [None, None, None]
    log.append(said(0, 2, 1))
    assert broken(*RULES) == [None, 2, None]
    assert broken() == [None, None, None]
    header, _, _, line, *_ = medallion("status", *RULES).out.splitlines()
    assert line[: header.index("broken") + len("broken")].split()[-1] == "2"


def test_the_rules_log_is_a_table_to_query_and_to_maintain(
    medallion: Medallion, log: RuleTable
) -> None:
    log.append(said(0, 2, 1))
    log.append(said(1, 2, 1))
    sql = "SELECT rule, sum(broken) AS broken FROM metrics.quality GROUP BY rule ORDER BY rule"
    assert json.loads(medallion("query", sql, "--json").out) == [
        {"rule": "gone", "broken": 2},
        {"rule": "positive", "broken": 4},
    ]
    (done,) = json.loads(medallion("maintain", "--json").out)
    assert (done["table"], done["files"], done["files_after"]) == (
        "metrics/quality/silver/sales",
        2,
        1,
    )
