"""The heads of csv files, and the names that options make of them."""

from __future__ import annotations

import pytest

from medallion_jobs.autoloader.readers import csv_head
from medallion_jobs.autoloader.readers.csv_dialect import Dialect
from medallion_jobs.autoloader.readers.csv_names import Naming, snake_case
from medallion_jobs.autoloader.readers.file_schemas import BrokenHeadError
from medallion_jobs.config import FileSource


def options(**given: object) -> dict[str, str]:
    """Options as a config has them."""
    return FileSource.model_validate({"format": "csv", "options": given}).options


def head(text: str, **given: object) -> csv_head.Head | None:
    newline = "\n" if "\n" in text else "\r"
    return csv_head.parse(text, newline, Dialect.of(options(**given)), whole=True)


def names(text: str, *known: str, **given: object) -> tuple[str, ...]:
    found = head(text, **given)
    assert found
    return Naming.of(options(**given)).names(found, "\n", known)


@pytest.mark.parametrize(
    ("text", "given", "fields", "before"),
    [
        ("id,name\n1,a\n", {}, ["id", "name"], 0),
        ("\n\nid\n", {}, ["id"], 0),
        ("\r\n \r\nid\r\n", {}, ["id"], 2),
        ("Sales 2024\n\nid,name\n", {"skip_rows": 2}, ["id", "name"], 1),
        ('"a, b"\r\nid,name\r\n', {"skip_rows": 1}, ["id", "name"], 1),
        ("# x\nT\nid\n", {"skip_rows": 2, "comment": "#"}, ["id"], 1),
        ("sep=;\nid;name\n", {}, ["id", "name"], 1),
        ('"sep=;"\r\nid;name\r\n', {}, ["id", "name"], 1),
        ("sep=\t\rid\tname\r", {}, ["id", "name"], 1),
        ("sep=;\nTitle\nid;name\n", {"skip_rows": 2}, ["id", "name"], 2),
        ("sep=;\nid;name\n", {"sep": ";", "skip_rows": 1}, ["id", "name"], 1),
        ("sep=;\na=b\n", {"sep": "="}, ["sep", ";"], 0),
        ("sep=abc\nid\n", {}, ["sep=abc"], 0),
        ("only a title\n", {"skip_rows": 1}, None, 0),
    ],
)
def test_the_first_record_is_found(
    text: str, given: dict[str, object], fields: list[str] | None, before: int
) -> None:
    found = head(text, **given)
    assert found
    assert (found.fields, found.before) == (fields, before)


def test_a_title_with_an_open_quote_cannot_be_skipped() -> None:
    with pytest.raises(BrokenHeadError, match="line 2, one of those before the header"):
        head('a\n"b\nid\n', skip_rows=2)


def test_names_are_made_as_the_options_say() -> None:
    assert names("id,name\n") == ("id", "name")
    snake = {"rename_columns": "snake_case"}
    assert names("Order No.,Unit price (EUR),orderID,,HTTPCode,Größe\n", **snake) == (
        "order_no", "unit_price_eur", "order_id", "", "http_code", "größe",
    )  # fmt: skip
    assert names("Note,note,note,note_2\n", **snake) == ("note", "note_3", "note_4", "note_2")
    mapping = {"rename_columns": {"Order No.": "order_id", "note_2": "more"}}
    assert names("Order No.,note,note,x\n", **mapping) == ("order_id", "note", "more", "x")
    anycase = {"header_case": "ignore"}
    assert names("ID,Name,other\n", "id", "name", **anycase) == ("id", "name", "other")
    assert names("ID,id\n", "id", **anycase) == ("ID", "id")
    assert snake_case("  ") == ""


@pytest.mark.parametrize(
    ("text", "given", "way"),
    [
        ("ID,NAME\n", {}, "set `header_case: ignore`"),
        ("Id,ID\n", {"header_case": "ignore"}, "its header repeats id"),
        ("id,id\n", {}, "its header repeats id; `rename_columns: snake_case`"),
        ("a,b\n", {"rename_columns": {"a": "b"}}, "`rename_columns` gives several columns one"),
        ("Unit price (EUR)\n", {}, "set `rename_columns: snake_case`"),
        ("Report\n\nid,name\n", {}, "line 3 looks like it: set `skip_rows: 2`"),
        ("id;name\n", {}, 'set `sep: ";"`'),
        ("1,a\n", {}, "if the files have no header, set `header: false`"),
    ],
)
def test_a_header_that_does_not_fit_names_the_option(
    text: str, given: dict[str, object], way: str
) -> None:
    with pytest.raises(BrokenHeadError, match=way.replace("(", "\\(")):
        names(text, "id", "name", "unit_price_eur", **given)
