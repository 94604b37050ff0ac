"""Files of every kind in one folder: each is loaded or told of, and none harms another."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from support.lake import Lake, batches, local, order, run_streams

NAMES = [
    "with space.json",
    "per%41cent.json",
    "what?.json",
    "star*.json",
    "[square].json",
    "{curly,braces}.json",
    "ha#sh.json",
    "quo'te\".json",
    "back\\slash.json",
    "plus+and&at@.json",
    "ünïcode 時.json",
    "new\nline.json",
    "one/same.json",
    "two/same.json",
]
# 35 characters of JSON around the name.
HUGE = order(order_id="huge", note="x" * 5_000_000)


class Messy(NamedTuple):
    """The lake, and the orders of each file by its name in the landing folder."""

    lake: Lake
    orders: dict[str, list[str]]
    rows_told: int


@pytest.fixture(scope="module")
def messy(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Messy:
    """One run over everything, and a second one over a good file that comes later."""
    lake = Lake.at(tmp_path_factory.mktemp("messy"))
    lake.generate(0)
    for name in NAMES:
        lake.drop(name, order(order_id=name))
    two = [order(order_id="a"), order(order_id="b")]
    lake.drop("crlf.json", *two, end=b"\r\n")
    lake.drop("cr.json", *two, end=b"\r")
    lake.drop_bytes("no_end.json", "\n".join(two).encode())
    lake.drop("blank.json", "", two[0], "   \t", "", two[1], "")
    lake.drop_bytes("bom.json", b"\xef\xbb\xbf" + "\n".join(two).encode())
    lake.drop_bytes("only_bom.json", b"\xef\xbb\xbf\n")
    lake.drop("latin1.json", b'{"order_id": "caf\xe9"}', b"not JSON, and not UTF-8: \xe9")
    lake.drop("huge.json", HUGE)
    lake.drop("long_bad_line.json", "ab" * 50_000)
    packed = gzip.compress("\n".join(order(order_id=str(n)) for n in range(5000)).encode())
    lake.drop_bytes("good.json.gz", packed)
    lake.drop_bytes("cut.json.gz", packed[: len(packed) // 2])
    lake.drop_bytes("empty.json", b"")
    lake.drop("co:lon.json", order(order_id="colon"))
    for hidden in (".hidden.json", "_underscore.json", "_folder/file.json", ".folder/file.json"):
        lake.drop(hidden, order(order_id="hidden"))
    (lake.folder / "link.json").symlink_to(lake.folder / "crlf.json")
    os.mkfifo(lake.folder / "pipe.json")
    (first,) = batches(lake.run("bronze"), "bronze.sales")
    lake.drop("later.json", order(order_id="later"))
    lake.run("bronze")
    found: dict[str, list[str]] = {}
    for row in lake.rows("bronze.sales"):
        name = os.path.relpath(local(row["_input_file"]), lake.folder)
        found.setdefault(name, []).append(row["order_id"])
    return Messy(lake, {name: sorted(them) for name, them in found.items()}, first.rows_out)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_have_any_name(messy: Messy, name: str) -> None:
    assert messy.orders[name] == [name]
    assert _account(messy, name) == ("COMMITTED", 1, 0)


@pytest.mark.parametrize("name", ["crlf.json", "cr.json", "no_end.json", "blank.json", "bom.json"])
def test_lines_may_end_and_begin_as_they_do_elsewhere(messy: Messy, name: str) -> None:
    assert messy.orders[name] == ["a", "b"]
    assert _account(messy, name) == ("COMMITTED", 2, 0)


def test_a_file_of_blank_lines_has_no_rows_and_no_bad_lines(messy: Messy) -> None:
    assert _account(messy, "only_bom.json") == ("COMMITTED", 0, 0)


def test_an_empty_file_is_skipped(messy: Messy) -> None:
    assert _account(messy, "empty.json") == ("SKIPPED", 0, 0)


def test_a_whole_gzip_file_is_read(messy: Messy) -> None:
    assert len(messy.orders["good.json.gz"]) == 5000
    assert _account(messy, "good.json.gz") == ("COMMITTED", 5000, 0)


@pytest.mark.parametrize("name", ["cut.json.gz", "co:lon.json"])
def test_a_file_that_cannot_be_read_is_put_aside_with_its_reason(messy: Messy, name: str) -> None:
    assert name not in messy.orders
    assert _account(messy, name) == ("QUARANTINED", 0, 0)
    assert _told(messy, name)["error"]


def test_neither_hidden_files_nor_links_nor_pipes_are_read(messy: Messy) -> None:
    assert not [name for name in messy.orders if "hidden" in name or "folder" in name]
    ignored = (".hidden", "_underscore", "_folder", ".folder", "link", "pipe")
    assert not [
        p for p in messy.lake.files() if p.removeprefix(f"{messy.lake.folder}/").startswith(ignored)
    ]


def test_a_line_of_5_mb_is_a_row(messy: Messy) -> None:
    (row,) = [r for r in messy.lake.rows("bronze.sales") if r["order_id"] == "huge"]
    assert len(json.loads(row["_rescued_data"])["note"]) == 5_000_000


def test_bytes_that_are_no_utf_8_leave_every_table_readable(messy: Messy) -> None:
    assert "latin1.json" not in messy.orders
    assert _account(messy, "latin1.json") == ("COMMITTED", 0, 2)
    bad = [r for r in messy.lake.rows("quarantine/bronze/sales") if "latin1" in r["file"]]
    assert sorted((r["line"], r["bytes"]) for r in bad) == [
        ("not JSON, and not UTF-8: \N{REPLACEMENT CHARACTER}", b"not JSON, and not UTF-8: \xe9"),
        ('{"order_id": "caf\N{REPLACEMENT CHARACTER}"}', b'{"order_id": "caf\xe9"}'),
    ]
    told = messy.lake.cli("query", "SELECT line FROM quarantine.bronze", "--json")
    assert "not JSON, and not UTF-8" in told


def test_quarantine_shows_65_536_characters_of_a_line_and_has_all(messy: Messy) -> None:
    bad = {local(r["file"]): r for r in messy.lake.rows("quarantine/bronze/sales")}
    row = bad[str(messy.lake.folder / "long_bad_line.json")]
    assert row["line"] == "ab" * 32_768
    assert row["bytes"] == (messy.lake.folder / "long_bad_line.json").read_bytes().rstrip(b"\n")
    assert row["reason"] == "not valid JSON"


def test_no_row_is_there_twice_and_the_next_run_goes_on(messy: Messy) -> None:
    once = Counter((n, o) for n, orders in messy.orders.items() for o in orders)
    assert max(once.values()) == 1
    assert messy.orders["later.json"] == ["later"]
    assert sum(one["rows"] for one in messy.lake.files().values()) == once.total()
    assert messy.rows_told == once.total() - 1


def test_a_file_that_goes_before_its_batch_is_missing(lake: Lake, spark: object) -> None:
    from medallion_jobs import bronze

    kept, gone = (lake.drop(name, order(order_id=name)) for name in ("kept.json", "gone.json"))
    config = lake.config
    (stream,) = bronze.streams(config)
    seen = type(stream).discover

    class Vanishing(type(stream)):  # type: ignore[misc]
        def discover(self) -> Sequence[str]:
            told = seen(self)
            gone.unlink(missing_ok=True)
            return told

    events = run_streams(config, [Vanishing.to_table(config, "sales")])

    assert [row["order_id"] for row in lake.rows("bronze.sales")] == ["kept.json"]
    states = {path: one["state"] for path, one in lake.files().items()}
    assert states == {str(kept): "COMMITTED", str(gone): "MISSING"}
    (batch,) = batches(events, "bronze.sales")
    assert any(str(gone) in remark and "MISSING" in remark for remark in batch.remarks)


def _told(messy: Messy, name: str) -> dict[str, object]:
    return messy.lake.files()[str(messy.lake.folder / name)]


def _account(messy: Messy, name: str) -> tuple[object, ...]:
    told = _told(messy, name)
    return told["state"], told["rows"], told["bad"]
