"""Files and objects, asked the same way: what is whole, what is there once, what is below what."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake.exceptions import DeltaError
from support import objects

from medallion_jobs import storage
from medallion_jobs.storage import S3, Location, ObjectPath, StoreError
from medallion_jobs.storage.delta import create_delta, is_delta, open_delta, write_first
from medallion_jobs.storage.duck import connect

NOWHERE = S3("http://127.0.0.1:1", "eu-west-3", access_key="a", secret_key="b")


@pytest.fixture(params=["files", "objects"])
def root(request: pytest.FixtureRequest, tmp_path: Path, store: objects.Store) -> Location:
    """An empty folder of this machine, and one of objects."""
    return tmp_path if request.param == "files" else store.at(tmp_path.name)


def test_what_was_written_is_read_and_the_newest_counts(root: Location) -> None:
    at = root / "a" / "b.json"
    assert not at.exists()
    with pytest.raises(FileNotFoundError):
        at.read_text(encoding="utf-8")
    for text in ("one", "two ü"):
        storage.put(at, text.encode())
        assert at.read_text(encoding="utf-8") == text
    assert [one.name for one in (root / "a").iterdir()] == ["b.json"]
    assert at.stat().st_size == len("two ü".encode())


def test_of_many_who_make_a_file_one_has_made_it(root: Location) -> None:
    made: list[int] = []
    at, ready = root / "log" / "7.json", threading.Barrier(8)

    def make(number: int) -> None:
        ready.wait()
        try:
            storage.create(at, f"by {number}".encode())
        except FileExistsError:
            return
        made.append(number)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(made) == 1
    assert at.read_bytes() == f"by {made[0]}".encode()
    assert [one.name for one in at.parent.iterdir()] == ["7.json"]


def test_folders_are_listed_by_name_and_removed_whole(root: Location) -> None:
    for name in ("t/b/1", "t/a/2", "t/c", "tt"):
        storage.put(root / name, b"x")
    assert [one.name for one in storage.children(root / "t")] == ["a", "b", "c"]
    assert [one.name for one in storage.children(root, "t?")] == ["tt"]
    assert storage.children(root / "none") == []
    assert sorted(one.name for one in (root / "t").rglob("*") if one.is_file()) == ["1", "2", "c"]
    assert (root / "t").is_dir()
    assert not (root / "t").is_file()
    assert (root / "t" / "c").is_file()
    assert not (root / "t" / "c").is_dir()
    storage.remove_all(root / "t")
    assert [one.name for one in storage.children(root)] == ["tt"]
    (root / "tt").unlink()
    with pytest.raises(FileNotFoundError):
        (root / "tt").unlink()
    (root / "tt").unlink(missing_ok=True)


def test_a_folder_is_moved_whole_and_only_once(root: Location) -> None:
    for name in ("a/1", "a/sub folder/2", "b/3"):
        storage.put(root / name, name.encode())
    to = root / "deep" / "er"
    storage.move(root / "a", to)
    assert not (root / "a").exists()
    assert (to / "1").read_bytes() == b"a/1"
    assert (to / "sub folder" / "2").read_bytes() == b"a/sub folder/2"
    storage.move(root / "a", to)  # a move that was interrupted is repeated
    assert sorted(one.name for one in to.iterdir()) == ["1", "sub folder"]
    storage.move(root / "b" / "3", root / "c" / "3")
    assert (root / "c" / "3").read_bytes() == b"b/3"


def test_a_file_gets_a_second_place(root: Location) -> None:
    storage.put(root / "a", b"rows")
    for _ in range(2):
        storage.duplicate(root / "a", root / "new" / "b")
    (root / "a").unlink()
    assert (root / "new" / "b").read_bytes() == b"rows"


def test_names(root: Location) -> None:
    at = root / "bronze" / "sales.x.json"
    assert (at.name, at.stem, at.suffix) == ("sales.x.json", "sales.x", ".json")
    assert at.parent.parent == root
    assert root in at.parents
    assert at.with_name("y") == root / "bronze" / "y"
    assert storage.is_below(at, root)
    assert storage.is_below(root, root)
    assert not storage.is_below(root.with_name(root.name + "2") / "x", root)
    assert storage.below(at, root).parts == ("bronze", "sales.x.json")
    with pytest.raises(ValueError, match="is not"):
        storage.below(root, at)


def test_a_delta_table_is_made_once_and_read_by_all_engines(root: Location) -> None:
    at, rows = root / "silver" / "customers", pa.table({"id": [1, 2]})
    assert not is_delta(at)
    write_first(at, rows, {"made_by": "a test"})
    assert is_delta(at)
    with pytest.raises(DeltaError):
        write_first(at, rows, {})
    assert create_delta(at, rows.schema).version() == 0
    assert open_delta(at, 0).to_pyarrow_table(columns=["id"]).num_rows == 2
    with connect(at, delta=True) as duck:
        found = duck.execute(f"SELECT sum(id) FROM delta_scan('{storage.uri(at)}')").fetchone()
    assert found == (3,)


def test_a_store_that_is_away_or_does_not_allow_it(store: objects.Store) -> None:
    nowhere = ObjectPath("lake", "x", NOWHERE)
    for ask in (nowhere.read_bytes, lambda: open_delta(nowhere), nowhere.exists):
        with pytest.raises(StoreError, match="cannot be reached") as away:
            ask()
        assert (away.value.filename, away.value.passes) == ("s3a://lake/x", True)
    other = ObjectPath("other", "x", store.s3)
    for ask in (lambda: other.put(b""), lambda: open_delta(other)):
        with pytest.raises(StoreError, match="there is no bucket other") as wrong:
            ask()
        assert not wrong.value.passes


def test_keys_are_shown_nowhere() -> None:
    assert "b" not in repr(S3(access_key="a", secret_key="b", session_token="b")).split("S3(")[1]


@pytest.mark.parametrize(
    ("text", "key"), [("s3a://lake", ""), ("s3a://lake/a/b/", "a/b"), ("s3a://la.ke/ä b", "ä b")]
)
def test_objects_are_named_by_uri(text: str, key: str) -> None:
    found = storage.location(text, NOWHERE)
    assert isinstance(found, ObjectPath)
    assert found.key == key
    assert str(found) == text.rstrip("/")


@pytest.mark.parametrize(
    "text", ["s3a://", "s3a:///a", "s3a://B", "s3a://lake/a/../b", "s3a://lake//a"]
)
def test_what_names_no_objects_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"bucket|empty name"):
        storage.location(text, NOWHERE)


def test_sparks_settings_come_first_and_the_aws_environment_says_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://store:9000")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from the environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    spark = S3.of({"spark.hadoop.fs.s3a.endpoint.region": "mars"}).spark_conf
    prefix = "spark.hadoop.fs.s3a."
    assert spark[f"{prefix}endpoint"] == "http://store:9000"
    assert spark[f"{prefix}endpoint.region"] == "mars"
    assert spark[f"{prefix}path.style.access"] == "true"
    assert spark[f"{prefix}connection.ssl.enabled"] == "false"
    assert not any("secret" in value for value in spark.values())
    of = S3.of(
        {
            f"{prefix}endpoint": "other:1",
            f"{prefix}path.style.access": "false",
            f"{prefix}access.key": "k",
            f"{prefix}secret.key": "it's",
        }
    )
    assert of.duckdb_secret == {
        "REGION": "eu-west-3",
        "KEY_ID": "k",
        "SECRET": "it's",
        "ENDPOINT": "other:1",
        "URL_STYLE": "vhost",
        "USE_SSL": "true",
    }


def test_amazons_own_endpoint_is_left_to_each_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    told = S3(access_key="a", secret_key="b")
    assert "spark.hadoop.fs.s3a.endpoint" not in told.spark_conf
    assert told.delta_options["region"] == "eu-central-1"
    assert "endpoint_url" not in told.delta_options


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "b.json"
    storage.put(file, b"one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        storage.put(file, b"two")
    assert file.read_text() == "one"
    assert [one.name for one in tmp_path.iterdir()] == ["b.json"]
