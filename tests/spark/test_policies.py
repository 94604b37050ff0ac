"""What becomes of files that change, go away, cannot be read, or were there before."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from deltalake import DeltaTable
from support.lake import Lake, batches, local, order, rows_at

from medallion_jobs import bronze
from medallion_jobs.errors import DataError

SOURCE = "bronze.sales.source"
BRONZE = "bronze.sales"
QUARANTINE = "quarantine/bronze/sales"
BROKEN = '{"order_id": '

Account = dict[tuple[str, int], tuple[str, int | None, int | None]]


def having(lake: Lake, **source: object) -> Lake:
    return lake.having(*(f"{SOURCE}.{name}={value}" for name, value in source.items()))


def ids(lake: Lake, table: str = BRONZE) -> list[str]:
    return sorted(row["order_id"] for row in lake.rows(table))


def bad(lake: Lake) -> list[tuple[str, int, str]]:
    rows = lake.rows(QUARANTINE)
    return sorted((Path(local(r["file"])).name, r["file_version"], r["line"]) for r in rows)


def account(lake: Lake) -> Account:
    """By a file's name and version: its state, its rows and its bad records."""
    ledger = lake.checkpoints.parent / "ledger" / "sales"
    told: Account = {}
    for row in rows_at(ledger / "discovered"):
        told[Path(local(row["path"])).name, row["version"]] = ("DISCOVERED", None, None)
    for row in sorted(rows_at(ledger / "events"), key=lambda row: row["updated_at"]):
        key = (Path(local(row["path"])).name, row["version"])
        told[key] = (row["state"], row["rows"], row["bad"])
    return told


def crash(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies between the admission of files and their batch."""

    def die(*_: object) -> None:
        raise RuntimeError("a crash")

    with monkeypatch.context() as patch:
        patch.setattr(type(bronze.streams(lake.config)[0]), "write", die)
        with pytest.raises(Exception, match="a crash"):
            lake.run("bronze")


# Files that change


@pytest.fixture(scope="module")
def changed(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Loaded up to silver; then one file was replaced twice, and one is new."""
    lake = having(Lake.at(tmp_path_factory.mktemp("changed")), on_changed_file="reprocess")
    lake.generate(0)
    lake.drop("a.json", order(order_id="a1"), order(order_id="a2"), BROKEN)
    lake.drop("b.json", order(order_id="b"), BROKEN + "1", at=1)
    lake.run("bronze", "silver")
    lake.drop("a.json", order(order_id="never seen"), at=2)
    lake.drop("a.json", order(order_id="a3"), BROKEN + "2", BROKEN + "3", at=3)
    lake.drop("new.json", order(order_id="new"), at=4)
    return lake


@pytest.mark.slow
def test_changed_reprocess(changed: Lake, tmp_path: Path) -> None:
    lake = changed.copy(tmp_path)
    before = {row["order_id"]: row for row in lake.rows(BRONZE)}
    version = lake.versions()["bronze/sales"]

    (done,) = batches(lake.run("bronze"), BRONZE)

    # Commit by commit: all that is old is there, then all that is new.
    assert lake.versions()["bronze/sales"] == version + 1
    assert sorted(r["order_id"] for r in lake.rows(BRONZE, version)) == ["a1", "a2", "b"]
    after = {row["order_id"]: row for row in lake.rows(BRONZE)}
    assert sorted(after) == ["a3", "b", "new"]
    assert after["b"] == before["b"]
    assert [after[one]["_file_version"] for one in sorted(after)] == [2, 1, 1]
    assert (done.files, done.rows_in, done.rows_out, done.quarantined) == (2, 4, 2, 2)
    told = account(lake)
    assert told == {
        ("a.json", 1): ("COMMITTED", 2, 1),
        ("a.json", 2): ("COMMITTED", 1, 2),
        ("b.json", 1): ("COMMITTED", 1, 1),
        ("new.json", 1): ("COMMITTED", 1, 0),
    }
    lines = [
        ("a.json", 1, BROKEN),
        ("a.json", 2, BROKEN + "2"),
        ("a.json", 2, BROKEN + "3"),
        ("b.json", 1, BROKEN + "1"),
    ]
    assert bad(lake) == lines

    silver = lake.versions()["silver/sales"]
    with pytest.raises(DataError, match=r"silver\.sales: .*changed or replaced") as stopped:
        lake.run("silver")
    assert "medallion rebuild silver.sales" in stopped.value.next_step
    assert lake.versions()["silver/sales"] == silver
    lake.reset("silver.sales")
    lake.run("silver")
    assert ids(lake, "silver.sales") == ["a3", "b", "new"]

    lake.reset(BRONZE)
    lake.run("bronze", "silver")
    assert {row["order_id"]: row for row in lake.rows(BRONZE)} == after
    assert bad(lake) == lines
    assert {key: one for key, one in account(lake).items() if key != ("a.json", 1)} == {
        key: one for key, one in told.items() if key != ("a.json", 1)
    }
    assert ids(lake, "silver.sales") == ["a3", "b", "new"]
    assert batches(lake.run("bronze"), BRONZE) == []


def test_changed_version(changed: Lake, tmp_path: Path) -> None:
    lake = having(changed.copy(tmp_path), on_changed_file="version")
    version = lake.versions()["bronze/sales"]
    lake.run("bronze", "silver")
    rows = lake.rows(BRONZE)
    expected = [("a1", 1), ("a2", 1), ("a3", 2), ("b", 1), ("new", 1)]
    assert sorted((row["order_id"], row["_file_version"]) for row in rows) == expected
    assert ids(lake, "silver.sales") == ["a1", "a2", "a3", "b", "new"]
    told, lines = account(lake), bad(lake)
    assert told["a.json", 1] == ("COMMITTED", 2, 1)
    assert told["a.json", 2] == ("COMMITTED", 1, 2)
    # Nothing but additions, which the table then promises to whoever streams it.
    operations = DeltaTable(lake.path(BRONZE)).history()[: -version - 1]
    assert "WRITE" in [one["operation"] for one in operations]
    assert DeltaTable(lake.path(BRONZE)).metadata().configuration["delta.appendOnly"] == "true"

    lake.reset(BRONZE)
    lake.run("bronze", "silver")
    assert sorted((r["order_id"], r["_file_version"]) for r in lake.rows(BRONZE)) == expected
    assert account(lake) == told
    assert bad(lake) == lines
    assert ids(lake, "silver.sales") == ["a1", "a2", "a3", "b", "new"]


def test_changed_fail_and_ignore(changed: Lake, tmp_path: Path) -> None:
    lake = changed.copy(tmp_path)
    versions = lake.versions()
    with pytest.raises(DataError, match=r"changed since it was read: .*/a\.json") as failed:
        having(lake, on_changed_file="fail").run("bronze")
    assert "on_changed_file" in failed.value.next_step
    now = lake.versions()
    # The table's promise of additions alone was made anew; no file was admitted.
    assert {t: v for t, v in now.items() if t != "bronze/sales"} == {
        t: v for t, v in versions.items() if t != "bronze/sales"
    }
    assert ids(lake) == ["a1", "a2", "b"]
    assert ("new.json", 1) not in account(lake)

    having(lake, on_changed_file="ignore").run("bronze")
    assert ids(lake) == ["a1", "a2", "b", "new"]
    assert ("a.json", 2) not in account(lake)


def test_a_file_that_is_replaced_before_it_is_read(
    lake: Lake, spark: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = having(lake, on_changed_file="version")
    lake.drop("a.json", order(order_id="old"))
    crash(lake, monkeypatch)
    lake.drop("a.json", order(order_id="new"), order(order_id="newer"), at=60)

    first, second = batches(lake.run("bronze"), BRONZE)

    assert (first.rows_out, second.rows_out) == (0, 2)
    assert (first.files_left, second.files_left) == (1, 0)
    assert "replaced before it was read" in " ".join(first.remarks)
    expected: Account = {("a.json", 1): ("SKIPPED", 0, 0), ("a.json", 2): ("COMMITTED", 2, 0)}
    assert account(lake) == expected
    lake.reset(BRONZE)
    lake.run("bronze")
    assert sorted((r["order_id"], r["_file_version"]) for r in lake.rows(BRONZE)) == [
        ("new", 2),
        ("newer", 2),
    ]
    assert account(lake) == expected


# Files that are gone


def test_missing(
    lake: Lake, spark: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lake.drop("kept.json", order(order_id="kept"))
    gone = lake.drop("gone.json", order(order_id="gone"), at=1)
    crash(lake, monkeypatch)
    marking = having(lake.copy(tmp_path / "mark"), on_missing_file="mark")
    failing = having(lake, on_missing_file="fail")
    aside = gone.rename(tmp_path / "aside.json")

    with pytest.raises(DataError, match=r"is gone: .*/gone\.json"):
        failing.run("bronze")
    assert failing.rows(BRONZE) == []
    assert {state for state, *_ in account(failing).values()} == {"DISCOVERED"}
    (done,) = batches(marking.run("bronze"), BRONZE)
    assert (done.files, done.rows_out) == (2, 1)
    assert account(marking)["gone.json", 1] == ("MISSING", 0, 0)
    assert ids(marking) == ["kept"]

    aside.rename(gone)
    for mended in (failing, marking):
        mended.run("bronze")
        assert ids(mended) == ["gone", "kept"]
        assert account(mended)["gone.json", 1] == ("COMMITTED", 1, 0)


# Files that cannot be read, and are mended


WHOLE = gzip.compress(
    "".join(order(order_id=f"o-{number:04}") + "\n" for number in range(200)).encode()
)


CUT = WHOLE[: len(WHOLE) // 2]
EVERYTHING = ["good", *(f"o-{number:04}" for number in range(200))]


def put(path: Path, data: bytes, at: int) -> None:
    """Writes a file over in place, so that its folder looks as it did."""
    path.write_bytes(data)
    os.utime(path, (1_700_000_000 + at,) * 2)


def retry(lake: Lake) -> None:
    lake.cli("files", "retry", "--path", "cut", "--yes")


@pytest.mark.parametrize("every_way", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_mended_file(every_way: bool, spark: object, tmp_path: Path) -> None:
    lake = Lake.at(tmp_path / "lake")
    lake.drop("good.json", order(order_id="good"))
    cut = lake.drop_bytes("cut.json.gz", CUT)
    lake.run("bronze")
    assert account(lake)["cut.json.gz", 1] == ("QUARANTINED", 0, 0)
    assert ids(lake) == ["good"]
    listed = lake.files()[str(cut)]
    assert (listed["attempts"], bool(listed["error"])) == (1, True)

    # Nothing has changed: it is read again for who asks for it, and only then.
    still = lake.copy(tmp_path / "still")
    retry(still)
    assert still.files()[str(cut)]["state"] == "DISCOVERED"
    (done,) = batches(having(still, on_changed_file="reprocess").run("bronze"), BRONZE)
    assert done.files == 1
    listed = still.files()[str(cut)]
    assert (listed["state"], listed["attempts"]) == ("QUARANTINED", 2)

    by_change, by_both = lake.copy(tmp_path / "by_change"), lake.copy(tmp_path / "by_both")
    retry(by_both)  # asked for while it is broken, mended before it is read
    put(cut, WHOLE, at=100)

    by_both_and_ignored = by_both.copy(tmp_path / "by_both_and_ignored")
    retry(lake)
    others = (
        (by_change, "reprocess"),
        (by_both, "reprocess"),
        (by_both_and_ignored, "ignore"),
    )
    for mended, policy in ((lake, "ignore"), *(others if every_way else ())):
        having(mended, on_changed_file=policy).run("bronze")
        assert ids(mended) == EVERYTHING
        listed = mended.files()[str(cut)]
        assert (listed["state"], listed["rows"]) == ("COMMITTED", 200)


@pytest.mark.slow
def test_old_rows_stay_until_the_new_content_can_be_read(spark: object, tmp_path: Path) -> None:
    lake = having(Lake.at(tmp_path / "lake"), on_changed_file="reprocess")
    lake.drop("good.json", order(order_id="good"))
    before = gzip.compress((order(order_id="before") + "\n").encode())
    cut = lake.drop_bytes("cut.json.gz", before)
    lake.run("bronze")
    put(cut, CUT, at=100)
    lake.run("bronze")
    assert ids(lake) == ["before", "good"]
    assert account(lake)["cut.json.gz", 2] == ("QUARANTINED", 0, 0)

    other = having(lake.copy(tmp_path / "other"), on_changed_file="ignore")
    put(cut, WHOLE, at=200)
    lake.run("bronze")
    assert ids(lake) == EVERYTHING
    assert account(lake)["cut.json.gz", 2] == ("COMMITTED", 200, 0)
    # Under a policy that replaces nothing, both contents are told apart all the same.
    retry(other)
    other.run("bronze")
    assert ids(other) == ["before", *EVERYTHING]
    assert sum(row["_file_version"] == 2 for row in other.rows(BRONZE)) == 200
    assert account(other)["cut.json.gz", 2] == ("COMMITTED", 200, 0)
