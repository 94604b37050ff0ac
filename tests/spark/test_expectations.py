"""Expectations: each check against plain Python, what is read from marks, and the stop."""

from __future__ import annotations

import random
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from medallion_jobs.config import Expectation
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MOMENT = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
SCHEMA = (
    "id int, word string, n int, money decimal(6,2), ratio float, flag boolean, day date, "
    "at timestamp, at_text string"
)
Row = dict[str, Any]
MOMENTS = [MOMENT, MOMENT + TICK, MOMENT - HOUR, MOMENT - HOUR - TICK, MOMENT - 30 * HOUR, None]
POOLS: dict[str, list[Any]] = {
    "word": ["a", "A", "ab", "bb", "a\n", "5", "", None],
    "n": [0, 1, 2, 3, 4, -1, None],
    "money": [Decimal("0.10"), Decimal("2.50"), Decimal("3.00"), Decimal("-1.01"), None],
    "ratio": [0.0, struct.unpack("f", struct.pack("f", 0.1))[0], 0.5, None],
    "flag": [True, False, None],
    "day": [date(2026, 1, 1), date(2026, 1, 29), date(2026, 1, 31), date(2026, 2, 1), None],
    "at": MOMENTS,
    "at_text": [*(f"{moment:%Y-%m-%d %H:%M:%S.%f}" for moment in MOMENTS if moment), "soon", None],
}
EXISTING = [("a", 1), (None, 2), ("zz", None)]
DIMENSION = [1, 2, 5]


@dataclass(frozen=True)
class Case:
    """A rule as the config has it, and which rows are good by plain Python."""

    rule: Mapping[str, object]
    good: Callable[[Row], object]


def in_range(value: Any, least: Any, most: Any) -> bool:
    return value is not None and least <= value <= most


def fits(text: object, pattern: str) -> bool:
    return text is not None and re.fullmatch(pattern, str(text)) is not None


def moment_of(text: str | None) -> datetime | None:
    if text in (None, "soon"):
        return None
    return datetime.fromisoformat(str(text)).replace(tzinfo=timezone.utc)


CASES = {
    "plain": Case({"check": "n > 0"}, lambda r: r["n"] is not None and r["n"] > 0),
    # Null or true is true; null and whatever is not.
    "null_or": Case(
        {"check": "n > 0 or word = 'a'", "otherwise": "drop"},
        lambda r: (r["n"] is not None and r["n"] > 0) or r["word"] == "a",
    ),
    "null_alone": Case({"check": "null"}, lambda _: False),
    "there": Case({"not_null": ["word", "n"]}, lambda r: None not in (r["word"], r["n"])),
    "words": Case(
        {"in_set": {"word": ["a", "bb", 5]}, "otherwise": "quarantine"},
        lambda r: r["word"] in ("a", "bb", "5"),
    ),
    "numbers": Case(
        {"in_set": {"n": [1, "2", 3.5], "flag": [True]}, "otherwise": "quarantine"},
        lambda r: r["n"] in (1, 2) and r["flag"] is True,
    ),
    "amounts": Case(
        {"in_set": {"money": [0.1, "2.50", 3]}},
        lambda r: r["money"] in (Decimal("0.1"), Decimal("2.5"), 3),
    ),
    # The float that is nearest to 0.1 is a little more than 0.1.
    "floats": Case({"between": {"ratio": [0, 0.1]}}, lambda r: in_range(r["ratio"], 0, 0.11)),
    "days": Case(
        {"between": {"day": ["2026-01-01", "2026-01-31"], "n": [0.5, 3]}},
        lambda r: (
            in_range(r["day"], date(2026, 1, 1), date(2026, 1, 31)) and in_range(r["n"], 0.5, 3)
        ),
    ),
    "pattern": Case({"matches": {"word": "a|b+"}}, lambda r: fits(r["word"], "a|b+")),
    "digit": Case({"matches": {"n": "[0-9]"}}, lambda r: fits(r["n"], "[0-9]")),
    "fresh": Case({"recent": {"at": "1h"}}, lambda r: in_range(r["at"], MOMENT - HOUR, MOMENT)),
    "fresh_text": Case(
        {"recent": {"at_text": "1d"}},
        lambda r: in_range(moment_of(r["at_text"]), MOMENT - 24 * HOUR, MOMENT),
    ),
    # A date is its midnight.
    "fresh_day": Case(
        {"recent": {"day": "2d"}},
        lambda r: in_range(r["day"], date(2026, 1, 30), date(2026, 1, 31)),
    ),
    "known": Case(
        {"references": {"table": "silver.numbers", "on": {"number": "n + 1"}}},
        lambda r: r["n"] is not None and r["n"] + 1 in DIMENSION,
    ),
    # Text against numbers: what is none is not there, and stops nothing.
    "known_text": Case(
        {"references": {"table": "silver.numbers", "on": {"number": "word"}}},
        lambda r: r["word"] == "5",
    ),
    "single": Case(
        {"unique": ["word", "n"]},
        lambda r: r["twins"] == 1 and (r["word"], r["n"]) not in EXISTING,
    ),
}
RULES = {name: Expectation.model_validate(case.rule) for name, case in CASES.items()}


def made() -> list[Row]:
    """Rows of which each value of each column has several; the last two are seldom ones."""
    chance = random.Random(5)
    rows = [
        {"id": number, **{name: chance.choice(pool) for name, pool in POOLS.items()}}
        for number in range(120)
    ]
    rows[7] |= {"word": "only", "n": 77}
    rows[8] |= {"word": "zz", "n": None}
    twins = Counter((row["word"], row["n"]) for row in rows)
    return [{**row, "twins": twins[row["word"], row["n"]]} for row in rows]


ROWS = made()


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    names = [name.split()[0] for name in SCHEMA.split(", ")]
    return spark.createDataFrame([tuple(row[name] for name in names) for row in ROWS], SCHEMA)


@dataclass(frozen=True)
class Judged:
    """What one pass over `ROWS` gave: by row its fields, and the observed counts."""

    rows: dict[int, Row]
    observed: dict[str, int]


@pytest.fixture(scope="module")
def judged(spark: SparkSession, rows: DataFrame) -> Iterator[Judged]:
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    from medallion_jobs.refine.expectations import broken_rules as e

    # A transform before may have left hidden columns of its own.
    hidden = rows.withColumn("miss 0", F.lit(True))
    numbers = spark.createDataFrame([(n, "x") for n in DIMENSION], "number bigint, word string")
    marked = e.judged(
        hidden,
        RULES,
        moment=MOMENT,
        references=dict.fromkeys(("known", "known_text"), numbers.select("number")),
        existing=spark.createDataFrame(
            [(*one, 9) for one in EXISTING], "word string, n int, x int"
        ),
    )
    seen = Observation()
    counted = marked.observe(seen, *e.observed(RULES)).select(
        "*",
        e.names(RULES).alias("names"),
        e.reasons(marked, RULES).alias("reasons"),
        *(e.with_action(RULES, action).alias(f"has {action}") for action in ("drop", "fail")),
    )
    found = [row.asDict() for row in counted.collect()]
    assert len(found) == len(ROWS)
    yield Judged({row["id"]: row for row in found}, dict(seen.get))


@pytest.mark.parametrize("name", CASES)
def test_a_check_is_broken_where_python_says_so(judged: Judged, name: str) -> None:
    wrong = {row["id"] for row in ROWS if not CASES[name].good(row)}
    marks = {number: row[f"rule {name}"] for number, row in judged.rows.items()}
    assert set(marks.values()) <= {True, False}
    assert {number for number, is_broken in marks.items() if is_broken} == wrong
    assert judged.observed[f"broken {name}"] == len(wrong)
    assert wrong
    assert len(wrong) < len(ROWS) or name == "null_alone"


def test_what_is_read_from_the_marks(judged: Judged) -> None:
    for row in judged.rows.values():
        broken = [name for name in CASES if row[f"rule {name}"]]
        assert row["names"] == broken
        assert [reason.partition(": ")[0] for reason in row["reasons"]] == broken
        assert row["has drop"] == ("null_or" in broken)
        assert row["has fail"] is False
        assert row["miss 0"] is True
    assert judged.observed["broken"] == len(ROWS)


def test_a_reason_has_the_rule_and_the_value(judged: Judged) -> None:
    lone = judged.rows[8]
    told = dict(reason.split(": ", 1) for reason in lone["reasons"])
    assert told["plain"] == "not (n > 0)"
    assert told["there"] == "n is null"
    assert told["words"] == "word=zz, not (word in 'a', 'bb', 5)"
    assert told["digit"] == "n=null, not (n matches [0-9])"
    assert told["known_text"] == "word=zz is not in silver.numbers"
    assert told["single"] == "word=zz, n=null is not unique"


def test_a_text_that_is_no_number_is_a_mistake_of_the_config(rows: DataFrame) -> None:
    from medallion_jobs.refine.expectations.broken_rules import judged as judge

    wrong = {"r": Expectation.model_validate({"in_set": {"n": ["many"]}})}
    with pytest.raises(UsageError, match=r"n is int, .* 'many'"):
        judge(rows, wrong, moment=MOMENT, references={}, existing=None)


STOPPING = {
    name: Expectation.model_validate(rule)
    for name, rule in {
        "dropped": {"check": "id <> 8", "otherwise": "drop"},
        "small": {"check": "id < 118", "otherwise": "fail"},
        "not_eight": {"in_set": {"id": [*range(8), *range(9, 120)]}, "otherwise": "fail"},
        "few": {"check": "id % 50 <> 3", "otherwise": "fail", "at_most": "50%"},
    }.items()
}


def marked(rows: DataFrame, rules: Mapping[str, Expectation]) -> DataFrame:
    from medallion_jobs.refine.expectations.broken_rules import judged as judge

    return judge(rows, rules, moment=MOMENT, references={}, existing=None)


def test_a_row_stops_the_batch_also_where_another_rule_drops_it(rows: DataFrame) -> None:
    from pyspark.errors import PySparkException
    from pyspark.sql import Observation

    from medallion_jobs.refine.expectations import broken_rules as e
    from medallion_jobs.refine.expectations.stop import explain_failure, stops, was_stopped

    rules = {name: STOPPING[name] for name in ("dropped", "not_eight", "few")}
    judged = marked(rows, rules)
    kept = judged.observe(Observation(), *e.observed(rules)).where(stops(rules))
    with pytest.raises(PySparkException) as failure:
        kept.where(~e.with_action(rules, "drop")).select("id").collect()
    assert was_stopped(failure.value)
    assert not was_stopped(ValueError("oops"))

    error = explain_failure(judged, rules, ["id", "word"], "silver.orders")
    assert error.exit_code == 1
    assert error.what.startswith("silver.orders: 1 of 120 rows break not_eight (id in 0, 1, ")
    assert error.what.endswith(" and 109 more): id=8, word=zz")
    assert error.untouched == "nothing of the batch is visible"
    assert (
        "medallion run --set silver.orders.expect.not_eight.otherwise=quarantine" in error.next_step
    )


def test_rules_that_some_rows_may_break_stop_nothing_within_their_share(rows: DataFrame) -> None:
    from medallion_jobs.refine.expectations.stop import explain_failure, stops

    few = STOPPING["few"]
    assert stops({"few": few}) is None
    rules = {
        "small": STOPPING["small"],
        "few": few.model_copy(update={"at_most": 0.01, "otherwise": "drop"}),
    }
    error = explain_failure(marked(rows, rules), rules, [], "silver.orders")
    first, second = error.what.splitlines()
    assert first.startswith("silver.orders: 2 of 120 rows break small (id < 118): id=118, word=")
    assert first.count("; id=") == 1
    assert "3 of 120 rows, where at most 1% may, break few (id % 50 <> 3): id=3, word=" in second
    assert second.count("; id=") == 2
    assert "--set silver.orders.expect.few.at_most=100%" in error.next_step


def test_each_rule_is_evaluated_once_in_one_pass(rows: DataFrame) -> None:
    """Else the cost of a rule is paid by its count, by the filter and by its mark."""
    from pyspark.sql import Observation

    from medallion_jobs.refine.expectations import broken_rules as e
    from medallion_jobs.refine.expectations.stop import stops

    rules = {
        f"r{number}": Expectation.model_validate(
            {"check": f"hash(word, n) % 7 <> {number}", "otherwise": action}
        )
        for number, action in enumerate(("fail", "drop", "quarantine", "warn"))
    }
    kept = marked(rows, rules).observe(Observation(), *e.observed(rules)).where(stops(rules))
    kept = kept.where(~(e.with_action(rules, "drop") | e.with_action(rules, "quarantine")))
    plan = kept.select("id")._jdf.queryExecution().executedPlan().toString()
    assert [plan.count(f"% 7) = {number})") for number in range(4)] == [1, 1, 1, 1]
    assert "Exchange" not in plan
