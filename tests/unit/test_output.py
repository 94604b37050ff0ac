"""How rows look in a terminal: a table, or blocks where it is too narrow; times, lists, empties."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
import typer
from typer.testing import CliRunner

from medallion_jobs.cli.output import drawn, print_rows, shows_times, time_text

NAME = "silver.customers_with_regions_and_their_orders"
NOON = datetime(2026, 1, 31, 12, 0, 5, tzinfo=timezone.utc)
COLUMNS = ("table", "state", "rows", "written", "last run", "held by")
ROWS = [
    (NAME, "idle", 1234567, NOON, "ok 3 h ago", None),
    ("gold.sales", "never ran", None, None, None, None),
]


def test_a_table_that_fits() -> None:
    assert list(drawn(COLUMNS[:4], [row[:4] for row in ROWS], 120)) == [
        "table                                           state         rows  written",
        "─" * 91,
        f"{NAME}  idle       1234567  2026-01-31 12:00:05 UTC",
        "gold.sales                                      never ran        -  -",
    ]


def test_a_table_that_is_too_wide_is_a_block_for_each_row() -> None:
    assert list(drawn(COLUMNS, ROWS, 80)) == [
        f"table     {NAME}",
        "state     idle",
        "rows      1234567",
        "written   2026-01-31 12:00:05 UTC",
        "last run  ok 3 h ago",
        "",
        "table     gold.sales",
        "state     never ran",
    ]


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200, 10_000])
def test_no_word_is_ever_cut(width: int) -> None:
    path = "/srv/landing/a_folder_with_a_long_name/2026/01/31/orders_of_the_day.json"
    reason = f"the file {path} could not be read, since its last line is cut"
    rows = [*ROWS[:1], (NAME, "died", 1, NOON, reason, path)]
    text = "\n".join(drawn(COLUMNS, rows, width))
    words = {word for row in rows for cell in row for word in str(cell or "").split()}
    words -= set(str(NOON).split())
    assert [word for word in words if word not in text] == []
    lines = text.splitlines()
    assert all(len(line) <= width or " " not in line[width:].strip() for line in lines)


def test_a_long_last_column_is_wrapped_between_words() -> None:
    lines = list(drawn(("key", "value"), [("a", "x" * 30 + " " + "y" * 30), ("b", "z")], 40))
    assert lines == ["key  value", "─" * 40, "a    " + "x" * 30, "     " + "y" * 30, "b    z"]


def test_lists_are_text_and_wide_letters_are_two_columns() -> None:
    assert list(drawn(("rules", "n"), [(["positive", "known"], 1), ([], 22), ("数量", 3)], 80))[
        2:
    ] == ["positive, known   1", "-                22", "数量              3"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in "\n".join(drawn(("a",), [("\x1b[31mred",), (["\x1b[2J"],)], 80))


def test_times_name_their_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    app = typer.Typer()

    @app.command()
    @shows_times
    def show() -> None:
        print_rows(("at",), [(NOON,)])
        typer.echo(time_text("2026-07-31T12:00:05.123+00:00"))

    try:
        utc, local = CliRunner().invoke(app, []), CliRunner().invoke(app, ["--local-time"])
        assert "2026-01-31 12:00:05 UTC" in utc.stdout
        assert "2026-07-31 12:00:05 UTC" in utc.stdout
        assert "2026-01-31 07:00:05 EST" in local.stdout
        assert "2026-07-31 08:00:05 EDT" in local.stdout
        assert "UTC" in CliRunner().invoke(app, []).stdout
    finally:
        monkeypatch.undo()
        time.tzset()
    assert time_text(NOON.replace(tzinfo=None)) == "2026-01-31 12:00:05"


def test_a_table_that_is_too_wide_goes_without_empty_columns_first() -> None:
    rows = [("silver.orders", None, 12, None), ("gold.sales", None, 3, None)]
    assert list(drawn(("table", "a" * 40, "rows", "b" * 40), rows, 80)) == [
        "table          rows",
        "─" * 19,
        "silver.orders    12",
        "gold.sales        3",
    ]
