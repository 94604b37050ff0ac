"""Cleaning a landing folder of objects: what is moved and deleted, and what has to stay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from lakes import BRONZE
from support import objects
from test_cleanup import Journal

from medallion_jobs.autoloader.archive import neighbours, registrations
from medallion_jobs.autoloader.archive.cleanup import Cleaner, check
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.ledger.tables import State
from medallion_jobs.config import Pipeline
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.storage import ObjectPath

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)
LONG_AGO = NOW - timedelta(days=90)


class Place:
    """A landing folder, an archive, and a ledger."""

    def __init__(self, root: ObjectPath, journal: Journal) -> None:
        self.landing, self.archive = root / "landing" / "sales", root / "archive"
        self.journal = journal
        self.root = root

    def config(self, mode: str, **clean: Any) -> Pipeline:
        to = {"move_to": str(self.archive)} if mode == "move" else {}
        source = {"format": "json", "clean_source": {"mode": mode, **to, **clean}}
        store = self.root.store
        s3a = {
            "endpoint": store.endpoint,
            "endpoint.region": store.region,
            "access.key": store.access_key,
            "secret.key": store.secret_key,
        }
        return Pipeline.model_validate(
            {
                "pipeline": "shop",
                "storage": {"root": str(self.root / "lake")},
                "landing": {"root": str(self.root / "landing")},
                "spark": {"conf": {f"spark.hadoop.fs.s3a.{k}": v for k, v in s3a.items()}},
                "bronze": {"sales": {"source": source}},
            }
        )

    def cleaner(self, mode: str) -> Cleaner:
        config = self.config(mode)
        me = registrations.Reader.of(TablePaths(config, BRONZE))
        assert registrations.register(config.landing_paths("sales")[0], me, config.store) is None
        return Cleaner(config, "sales", self.journal)

    def put(self, name: str, text: str = "{}", state: State = State.COMMITTED) -> FileEntry:
        at = self.landing / name
        at.write_text(text)
        head = at.head()
        uri = str(at).replace(" ", "%20")
        # To the millisecond, as listings of some stores tell it.
        found = FileEntry(head.modified_s * 1_000_000 + 123_000, uri, head.size)
        self.journal.tell([found], state, at=LONG_AGO)
        return found

    def told(self, file: FileEntry) -> tuple[State, str | None]:
        return self.journal.newest()[file][:2]


@pytest.fixture
def place(store: objects.Store, tmp_path: Path) -> Iterator[Place]:
    yield Place(store.at(tmp_path.name), Journal(tmp_path / "journal"))


def test_files_are_moved_with_their_folders_and_their_bytes(place: Place) -> None:
    file = place.put("2026-01/a b.json", "one")
    done = place.cleaner("move").clean(NOW)
    assert (done.moved, done.bytes, done.left) == (1, 3, 0)
    assert (place.archive / "2026-01" / "a b.json").read_text() == "one"
    assert not (place.landing / "2026-01" / "a b.json").exists()
    state, how = place.told(file)
    assert state is State.ARCHIVED
    assert how == f"moved to {place.archive} (path below {place.landing} kept)"
    assert place.cleaner("move").clean(NOW).moved == 0


def test_no_archived_file_is_written_over(place: Place) -> None:
    (place.archive / "a.json").write_text("another")
    file = place.put("a.json", "one")
    assert place.cleaner("move").clean(NOW).moved == 1
    assert (place.archive / "a.json").read_text() == "another"
    assert (place.archive / "a.json.1").read_text() == "one"
    assert ", .1 added" in str(place.told(file)[1])


def test_files_are_deleted(place: Place) -> None:
    kept = place.put("new.json", state=State.QUARANTINED)
    file = place.put("a.json")
    assert place.cleaner("delete").clean(NOW).deleted == 1
    assert not (place.landing / "a.json").exists()
    assert (place.landing / "new.json").exists()
    assert place.told(file) == (State.ARCHIVED, "deleted")
    assert place.told(kept)[0] is State.QUARANTINED


def test_what_a_run_that_was_cut_off_moved_is_found(place: Place) -> None:
    file = place.put("a.json", "one", State.ARCHIVING)
    copied = place.cleaner("move")
    assert copied._objects.move(copied_spot(place, file), file) == 0
    assert copied.clean(NOW).moved == 1
    assert place.told(file)[0] is State.ARCHIVED


def test_a_copy_that_was_cut_off_before_the_delete_is_gone_on_with(place: Place) -> None:
    file = place.put("a.json", "one", State.ARCHIVING)
    at = place.landing / "a.json"
    metadata = {"medallion-modified": str(file.modified_us)}
    at.copy_to(place.archive / "a.json", of=at.head().tag, metadata=metadata)
    assert place.cleaner("move").clean(NOW).moved == 1
    assert not at.exists()
    assert not (place.archive / "a.json.1").exists()


def test_a_file_that_changed_since_it_was_read_stays(place: Place) -> None:
    file = place.put("a.json", "one")
    (place.landing / "a.json").write_text("longer than it was")
    done = place.cleaner("delete").clean(NOW)
    assert (done.deleted, done.left) == (0, 1)
    assert "changed since they were read" in done.remarks[0]
    assert (place.landing / "a.json").exists()
    assert place.told(file)[0] is State.COMMITTED


def test_what_another_reader_has_not_read_stays(place: Place) -> None:
    place.put("a.json")
    cleaner = place.cleaner("delete")
    other = registrations.Reader("other", "sales", str(place.root / "elsewhere"), str(place.root))
    assert registrations.register(str(place.landing), other, place.root.store) is None
    done = cleaner.clean(NOW)
    assert (done.deleted, done.left) == (0, 1)
    assert "the ledger of other.sales cannot be read" in done.remarks[0]


def test_a_registration_is_hidden_and_one_of_an_earlier_version_counts(place: Place) -> None:
    place.put("a.json")
    cleaner, landing = place.cleaner("delete"), place.landing
    (registration,) = (landing / ".medallion" / "readers").iterdir()
    assert registration.name == "shop.sales.reader"
    assert [path.name for path in landing.rglob("*.json")] == ["a.json"]
    old = landing / "_medallion" / "readers" / "shop.sales.json"
    old.write_text(registration.read_text())
    registration.unlink()
    other = {"pipeline": "her", "table": "t", "ledger": str(place.root / "elsewhere")}
    other["storage"] = str(place.root)
    (old.parent / "her.t.json").write_text(json.dumps(other))
    assert "her.t" in cleaner.clean(NOW).remarks[0]
    (old.parent / "her.t.json").unlink()
    assert cleaner.clean(NOW).deleted == 1
    config = place.config("off")
    assert "no longer registered" in neighbours.withdraw_all(config, dry_run=False)[0]
    assert list(landing.rglob("*")) == []


def test_another_table_of_the_config_needs_no_registration(place: Place) -> None:
    place.put("a/a.json")
    place.cleaner("delete")
    values = place.config("delete").model_dump(by_alias=True, exclude_defaults=True, mode="json")
    paths = {"{}/a": 1, "{}/*": 1, "{}/b": 0}
    for path, stays in paths.items():
        hers = {"source": {"format": "json", "path": path.format(place.landing)}}
        config = Pipeline.model_validate({**values, "bronze": {**values["bronze"], "hers": hers}})
        cleaner = Cleaner(config, "sales", place.journal)
        assert cleaner.clean(NOW).left == stays, path


@pytest.mark.parametrize("to", ["/archive", "s3a://lake/*"])
def test_the_archive_of_objects_is_a_folder_of_objects(place: Place, to: str) -> None:
    with pytest.raises(UsageError, match="move_to"):
        check(place.config("move", move_to=to), "sales")


def test_the_archive_lies_beside_the_files(place: Place) -> None:
    with pytest.raises(UsageError, match="overlap"):
        check(place.config("move", move_to=str(place.landing / "old")), "sales")


def copied_spot(place: Place, file: FileEntry) -> Any:
    from medallion_jobs.autoloader.archive.file_location import location_of

    return location_of(file, [place.landing])
