"""A file that is read again: its new records count, and those of the reading before do not."""

from __future__ import annotations

import json
import shutil
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from support.lake import Lake, order

from medallion_jobs.autoloader.loading.bad_records import BadRecords
from medallion_jobs.errors import DataError

pytestmark = pytest.mark.usefixtures("spark")

SOURCE = "bronze.sales.source"
DOCUMENT = json.dumps(json.loads(order(order_id="d")), indent=2).splitlines()
WHOLE = f"{SOURCE}.options={{multiLine: true}}"


def told(lake: Lake) -> dict[str, tuple[str, int, int, int]]:
    """Of each file, by name: state, rows, bad records, generation."""
    files = lake.files().items()
    return {
        path.rpartition("/")[2]: (f["state"], f["rows"], f["bad"], f["generation"])
        for path, f in files
    }


def states(lake: Lake) -> dict[str, int]:
    """How many records quarantine has, by their state."""
    rows = json.loads(lake.cli("quarantine", "list", "--json"))
    return {
        state: sum(row[state] for row in rows)
        for state in ("open", "dismissed", "superseded")
        if any(row[state] for row in rows)
    }


def verified(lake: Lake) -> dict[str, Any]:
    found = json.loads(lake.cli("verify", "bronze.sales", "--layers", "--json"))
    assert found["right"] is True, found
    (bronze,) = found["layers"]
    return {check["what"]: check["found"] for check in bronze["checks"]}


def open_lines(lake: Lake) -> set[str]:
    return {
        row["row"] for row in json.loads(lake.cli("quarantine", "show", "bronze.sales", "--json"))
    }


def lake_with_documents(lake: Lake) -> Lake:
    """Read line by line: a file with good and bad lines, and one of only bad lines."""
    lake.drop("lines.json", order(order_id="a"), order(order_id="b"), "broken")
    lake.drop("doc.json", *DOCUMENT)
    lake.run("bronze")
    assert told(lake) == {
        "lines.json": ("COMMITTED", 2, 1, 1),
        "doc.json": ("COMMITTED", 0, len(DOCUMENT), 1),
    }
    assert states(lake) == {"open": 1 + len(DOCUMENT)}
    return lake.having(WHOLE)


@pytest.mark.slow
def test_a_new_generation_counts_what_it_reads(lake: Lake) -> None:
    fixed = lake_with_documents(lake)
    fixed.reset("bronze.sales")
    fixed.run("bronze")
    # The file with rows in the table is not read again, so that nothing is doubled.
    after = {"lines.json": ("COMMITTED", 2, 1, 2), "doc.json": ("COMMITTED", 1, 0, 2)}
    assert told(fixed) == after
    assert states(fixed) == {"open": 1, "superseded": len(DOCUMENT)}
    assert open_lines(fixed) == {"broken"}
    assert verified(fixed) == {"rows of each file": 3, "bad lines of each file": 1}
    assert sorted(r["order_id"] for r in fixed.rows("bronze.sales")) == ["a", "b", "d"]
    (n,) = duckdb.sql(
        f"SELECT count(*) FROM delta_scan('{fixed.path('quarantine/bronze/sales')}')"
    ).fetchone() or (0,)
    assert n == 1 + len(DOCUMENT)  # nothing is deleted
    # One more generation reads nothing, and carries the counts of the last reading.
    fixed.reset("bronze.sales")
    fixed.run("bronze")
    assert told(fixed) == {name: (*found[:3], 3) for name, found in after.items()}
    assert verified(fixed) == {"rows of each file": 3, "bad lines of each file": 1}


@pytest.mark.slow
def test_a_rebuilt_table_reads_everything_again(lake: Lake) -> None:
    fixed = lake_with_documents(lake)
    shutil.rmtree(fixed.path("bronze.sales"))
    (fixed.folder / "doc.json").unlink()
    fixed.reset("bronze.sales")
    lake.run("bronze")
    # What is left of a file that is gone stays open: nothing else has it.
    assert told(fixed) == {"lines.json": ("COMMITTED", 2, 1, 2), "doc.json": ("MISSING", 0, 0, 2)}
    assert states(fixed) == {"open": 1 + len(DOCUMENT), "superseded": 1}
    assert verified(fixed) == {"rows of each file": 2, "bad lines of each file": 1 + len(DOCUMENT)}
    # A real difference is found: rows that somebody has deleted from quarantine.
    quarantine = DeltaTable(fixed.path("quarantine/bronze/sales"))
    quarantine.alter.set_table_properties({"delta.appendOnly": "false"})
    quarantine.delete("line = '{'")
    with pytest.raises(SystemExit):
        fixed.cli("verify", "bronze.sales", "--layers")


def test_a_file_of_only_bad_records_can_be_read_again(lake: Lake) -> None:
    fixed = lake_with_documents(lake)
    fixed.cli("files", "retry", "--path", "doc", "--yes")
    assert told(fixed)["doc.json"][0] == "DISCOVERED"
    # First it is read as before: its records are in quarantine once, not twice.
    lake.run("bronze")
    assert told(lake)["doc.json"] == ("COMMITTED", 0, len(DOCUMENT), 1)
    assert states(lake) == {"open": 1 + len(DOCUMENT), "superseded": len(DOCUMENT)}
    assert verified(lake)["bad lines of each file"] == 1 + len(DOCUMENT)
    fixed.cli("files", "retry", "--state", "committed", "--yes")
    fixed.run("bronze")
    assert told(fixed)["doc.json"] == ("COMMITTED", 1, 0, 1)
    assert states(fixed) == {"open": 1, "superseded": 2 * len(DOCUMENT)}
    assert verified(fixed) == {"rows of each file": 3, "bad lines of each file": 1}
    # Now it has rows, so it is not read again, in this generation or the next.
    fixed.reset("bronze.sales")
    fixed.run("bronze")
    assert verified(fixed) == {"rows of each file": 3, "bad lines of each file": 1}


@pytest.mark.slow
def test_the_records_of_a_replaced_content_are_superseded(lake: Lake) -> None:
    replacing = lake.having(f"{SOURCE}.on_changed_file=reprocess")
    replacing.drop("x.json", order(order_id="a"), "broken")
    replacing.run("bronze")
    replacing.drop("x.json", order(order_id="a"), order(order_id="b"), at=10)
    replacing.run("bronze")
    assert states(replacing) == {"superseded": 1}
    assert sorted(r["order_id"] for r in replacing.rows("bronze.sales")) == ["a", "b"]
    keeping = replacing.having(f"{SOURCE}.on_changed_file=version")
    assert states(keeping) == {"open": 1}


def test_a_crash_between_bronze_and_quarantine(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run reads the files again for quarantine, and compares their counts."""
    lake.drop("lines.json", order(order_id="a"), "broken")
    lake.drop("doc.json", *DOCUMENT)
    crashed(lake, monkeypatch)
    fixed = lake.having(WHOLE)
    with pytest.raises(DataError, match="with the config of now") as refused:
        fixed.run("bronze")
    assert "checkpoint reset bronze.sales" in (refused.value.next_step or "")
    # As the message says: a new generation reads the file without rows, and loses nothing.
    other = lake.copy(lake.storage.parent / "other").having(WHOLE)
    other.reset("bronze.sales")
    other.run("bronze")
    assert told(other)["doc.json"] == ("COMMITTED", 1, 0, 2)
    verified(other)
    # Or with the old config.
    lake.run("bronze")
    assert told(lake) == {
        "lines.json": ("COMMITTED", 1, 1, 1),
        "doc.json": ("COMMITTED", 0, len(DOCUMENT), 1),
    }
    assert states(lake) == {"open": 1 + len(DOCUMENT)}
    verified(lake)


@pytest.mark.slow
def test_a_file_that_has_changed_since_a_crash_is_remarked(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.drop("x.json", order(order_id="a"), "broken")
    crashed(lake, monkeypatch)
    lake.drop("x.json", order(order_id="a"), "broken", "also broken", order(order_id="b"), at=9)
    lake.run("bronze")
    (x,) = lake.files().values()
    assert (x["state"], x["rows"], x["bad"]) == ("COMMITTED", 1, 2)
    assert "3 loaded" in x["error"]


@pytest.mark.slow
def test_a_rebuild_that_crashes_counts_its_own_reading(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older generation has an outcome of the file, which says nothing of the new reading."""
    lake.drop("x.json", order(order_id="a"), "broken", "broken too")
    lake.run("bronze")
    shutil.rmtree(lake.path("bronze.sales"))
    lake.drop("x.json", order(order_id="a"), order(order_id="b"), "broken 3", at=9)
    lake.reset("bronze.sales")
    crashed(lake, monkeypatch)
    lake.run("bronze")
    assert told(lake) == {"x.json": ("COMMITTED", 2, 1, 2)}
    assert states(lake) == {"open": 1, "superseded": 2}
    assert open_lines(lake) == {"broken 3"}
    verified(lake)


@pytest.mark.slow
def test_a_rebuild_that_crashes_and_is_reset(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.drop("x.json", order(order_id="a"), "broken", "broken too")
    lake.run("bronze")
    shutil.rmtree(lake.path("bronze.sales"))
    lake.drop("x.json", order(order_id="a"), order(order_id="b"), "broken 3", at=9)
    lake.reset("bronze.sales")
    crashed(lake, monkeypatch)
    lake.reset("bronze.sales")
    lake.run("bronze")
    assert told(lake) == {"x.json": ("COMMITTED", 2, 1, 3)}
    assert open_lines(lake) == {"broken 3"}
    verified(lake)


def crashed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies when bronze has the batch and quarantine does not."""

    class CrashError(Exception):
        pass

    def dies(*_: object, **__: object) -> None:
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(BadRecords, "put", dies)
        with pytest.raises(Exception, match="CrashError"):
            lake.run("bronze")
