"""What a run says of a batch of which most rows are not in the table."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from medallion_jobs.observe.events import BatchDone, Event, Note, Warned, Warnings, as_json, as_line
from medallion_jobs.observe.set_aside import SetAside, aside_text, cause_of, is_most

ASIDE = SetAside(
    rows=300,
    aside=300,
    how="quarantined",
    rule="rescued_value",
    example='store_id: "store_001" does not fit bigint',
    cause='store_id is bigint, the files have text such as "store_001": declare it as string',
)


@pytest.mark.parametrize(
    ("rows", "aside", "is_first", "most"),
    [
        (0, 0, True, False),
        (1, 1, False, True),
        (10, 10, False, True),
        (10, 9, False, False),
        (10, 6, True, True),
        (10, 5, True, False),
    ],
)
def test_all_rows_or_of_the_first_batch_more_than_half(
    rows: int, aside: int, is_first: bool, most: bool
) -> None:
    assert is_most(rows, aside, is_first=is_first) is most


@pytest.mark.parametrize(
    ("example", "cause"),
    [
        (
            'store_id: "store_001" does not fit bigint',
            'store_id is bigint, the files have text such as "store_001": declare it as string',
        ),
        (
            'known: user_id is null; user_id: "7.5" does not fit int',
            'user_id is int, the files have text such as "7.5": declare it as decimal or double',
        ),
        (
            'total: "12345678901" does not fit int',
            'total is int, the files have text such as "12345678901": declare it as bigint',
        ),
        (
            'event_time: "10.02.2024: noon" does not fit timestamp',
            'event_time is timestamp, the files have text such as "10.02.2024: noon": '
            "add its format to `cast.event_time.formats`",
        ),
        (
            'amount: "12,50" does not fit decimal(18,2)',
            'amount is decimal(18,2), the files have text such as "12,50": cast it to string',
        ),
        (
            "no match in silver.people for id=7 at 2026-01-01 00:00:00",
            "silver.people has no row for id=7: load the dimension first, and compare the keys",
        ),
        (
            "known: user_id is null",
            "the files have no user_id, but these undeclared keys: userId; declare the right one, "
            "or name the right column in the rule",
        ),
        (
            "cheap: not (price < 5)",
            "the rule does not fit the data: compare it with the example",
        ),
    ],
)
def test_the_likely_cause(example: str, cause: str) -> None:
    casts = frozenset({"event_time", "amount"})
    assert cause_of(example, casts=casts, others=("userId",)) == cause


def test_a_null_without_another_name() -> None:
    told = cause_of("known: user_id is null", casts=frozenset(), others=())
    assert told == (
        "the files have no value for user_id: compare its name with the keys in the files"
    )


def batch(table: str, number: int, aside: SetAside | None) -> BatchDone:
    return BatchDone(
        table=table,
        batch=number,
        rows_in=300,
        rows_out=0,
        quarantined=300,
        seconds=1.0,
        backlog=0,
        set_aside=aside,
    )


def test_a_run_warns_at_its_end_of_each_table_once() -> None:
    events: list[Event] = []
    warnings = Warnings(events.append)
    with pytest.raises(KeyError), warnings.at_the_end():
        for number, aside in enumerate((ASIDE, None, ASIDE)):
            warnings.emit(batch("silver.sales_enriched", number, aside))
        warnings.emit(batch("silver.other", 0, None))
        raise KeyError
    assert len(events) == 5
    warned = events[-1]
    assert isinstance(warned, Warned)
    assert (warned.table, warned.batch, warned.batches) == ("silver.sales_enriched", 2, 2)
    line = as_line(warned)
    assert line.startswith("silver.sales_enriched        warning: batch 2, and 1 batch before it")
    assert "300 of 300 rows (100%) are quarantined by rescued_value" in line
    assert line.endswith("see: medallion quarantine show silver.sales_enriched")
    told = json.loads(as_json(warned))
    assert told["event"] == "warning"
    assert (told["rule"], told["share"], told["how"]) == ("rescued_value", 1.0, "quarantined")
    assert told["example"] == ASIDE.example
    assert told["cause"] == ASIDE.cause


def test_a_run_tells_at_its_end_of_files_put_aside() -> None:
    events: list[Event] = []
    warnings = Warnings(events.append)
    aside = {"files": 9, "files_aside": 2, "aside_example": "/in/x.json: no JSON"}
    whole = replace(ASIDE, unit="files", how="put aside")
    with warnings.at_the_end():
        for number in range(2):
            warnings.emit(replace(batch("bronze.sales", number, None), **aside))
        # If most files are put aside, the warning says so, and once is enough.
        warnings.emit(replace(batch("bronze.other", 0, whole), **aside))
    notes = [event for event in events if isinstance(event, Note)]
    assert [note.table for note in notes] == ["bronze.sales"]
    line = as_line(notes[0])
    assert "files put aside (4, /in/x.json: no JSON, medallion files --state quarantined)" in line
    assert json.loads(as_json(notes[0]))["facts"]["files"] == 4
    assert [event.table for event in events if isinstance(event, Warned)] == ["bronze.other"]


def test_a_file_put_aside_is_told_in_one_line() -> None:
    told = aside_text("file:/in/a%20b.json", "broken:\n  at line 1\n" + "x" * 300)
    assert told.startswith("/in/a b.json: broken: at line 1 xxx")
    assert len(told) < 210
