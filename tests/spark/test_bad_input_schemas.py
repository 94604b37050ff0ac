"""Bad input where files bring their own columns: inferred from json; parquet; avro.

See test_bad_input for where each kind of bad input is tested.
"""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.fates import (
    Fate,
    aside,
    assert_account,
    assert_fate,
    bad_records,
    empty_lake,
    land,
    run_twice,
)
from support.lake import Lake, local

from medallion_jobs.autoloader.readers.avro_files import AVRO

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Keys that become columns; of those that differ in letter case alone, the one that sorts first.
COLUMNS = ("a.b", "a`b", "q'\"", "\U0001f600", "e\u0301", "KEY", "*", "%41", "..", "\\", "1", "#/$",
           "\u2028", "k" * 300, "value", "_metadata", "__objects", "__marked")  # fmt: skip
RESCUED = ("", "a b", "x=", "a\nb", "a\tb", "a;b", "a,b", "{}", "count(1)", "key", "Key", "${x}",
           "ID", "_rescued_data", "_input_file", "_load_time", "_Load_Time")  # fmt: skip
KEYS = (*COLUMNS, *RESCUED)
INNER = ("a.b", "a`b", "\U0001f600", "KEY", "key", "", "a b", "__marked", "_input_file")


@pytest.fixture(scope="module")
def inferred(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Inferred from the two files that come first, of which one cannot be read."""
    lake = empty_lake(tmp_path_factory, "schema=null", "inference_files=2")
    lake.drop_bytes("no gzip.json.gz", b'{"id": 1}\n', at=1)
    lake.drop("sample.json", '{"id": 1, "inner": {"a": 1}}', "not JSON", at=2)
    lake.drop("keys.json", *(json.dumps({"id": 2, key: "x"}) for key in KEYS), at=3)
    lake.drop("all.json", json.dumps({key: f"of {key}" for key in KEYS}), at=4)
    lake.drop("inside.json", json.dumps({"inner": dict.fromkeys(INNER, "x")}), at=5)
    return run_twice(lake, "later.json", b'{"id": 3, "new \xf0\x9f\x98\x80": 1}\n')


def test_no_key_stops_the_query_and_each_is_a_column_or_rescued(inferred: Lake) -> None:
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in inferred.rows("bronze.sales"):
        rows.setdefault(Path(local(row["_input_file"])).name, []).append(_sent(row))
    assert rows["sample.json"] == [{"id": "1", "inner": {"a": "1"}}]
    assert rows["keys.json"] == [{"id": "2", key: "x"} for key in KEYS]
    assert rows["all.json"] == [{key: f"of {key}" for key in KEYS}]
    assert rows["inside.json"] == [{"inner": dict.fromkeys(INNER, "x")}]
    assert rows["later.json"] == [{"id": "3", "new \U0001f600": "1"}]


def test_the_keys_that_a_table_can_name_are_columns(inferred: Lake) -> None:
    there = inferred.rows("bronze.sales")[0]
    added = ("_rescued_data", "_input_file", "_load_time")
    assert set(there) == {"id", "inner", *COLUMNS, *added}
    (inner,) = [set(r["inner"]) for r in inferred.rows("bronze.sales") if r["id"] == "1"]
    assert inner == {"a", *INNER} - {"key", "", "a b"}


def test_what_cannot_be_read_of_a_sample_does_no_harm(inferred: Lake) -> None:
    names = ["sample.json", "keys.json", "all.json", "inside.json", "later.json"]
    assert_account(inferred, ["no gzip.json.gz", *names])
    assert_fate(inferred, "no gzip.json.gz", aside(b"", "not a gzip file"))
    (bad,) = bad_records(inferred)
    assert (bad["reason"], bad["line"]) == ("not valid JSON", "not JSON")


def _sent(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the object that it came from; what is rescued wins."""
    rescued = json.loads(row["_rescued_data"] or "{}")
    assert rescued.pop("_file_path", row["_input_file"]) == row["_input_file"]
    own = ("_rescued_data", "_input_file", "_load_time")
    sent = {k: v for k, v in row.items() if v is not None and k not in own} | rescued
    if isinstance(sent.get("inner"), str):
        sent["inner"] = json.loads(sent["inner"])
    elif "inner" in sent:
        sent["inner"] = {k: v for k, v in sent["inner"].items() if v is not None}
    return sent


# --- parquet and avro


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def broken(content: bytes, start: int) -> bytes:
    """The same file with other bytes somewhere in its midst."""
    end = start + 60
    return content[:start] + bytes(255 - byte for byte in content[start:end]) + content[end:]


def with_a_broken_page() -> bytes:
    """A file of four groups of rows; the footer is whole, a page of the third group is not."""
    ids = random.Random(1).sample(range(10**12), 8000)
    options = {"row_group_size": 2000, "data_page_size": 4096, "use_dictionary": False}
    whole = parquet({"id": ids}, compression="none", write_page_checksum=True, **options)
    column = pq.read_metadata(io.BytesIO(whole)).row_group(2).column(0)
    return broken(whole, column.data_page_offset + column.total_compressed_size // 2)


GOOD = parquet({"id": [1, 2], "name": ["a", "b"]})
LARGE = parquet({"id": list(range(50_000))})
PARQUET = {
    "good.parquet": Fate(GOOD, [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]),
    "zero.parquet": Fate(b"", state="SKIPPED", error="empty file"),
    "no rows.parquet": Fate(parquet({"id": pa.array([], pa.int64())})),
    "other.parquet": Fate(
        parquet({"id": ["x"], "name": [{"a": 1}], "a b": [1.5]}),
        [{"rescued": {"id": "x", "name": {"a": 1}, "a b": 1.5}}],
    ),
    "cut.parquet": aside(LARGE[: len(LARGE) // 2], "arquet"),
    "no end.parquet": aside(GOOD[:-1], "arquet"),
    "json.parquet": aside(b'{"id": 1}\n', "arquet"),
    "only marks.parquet": aside(b"PAR1" + bytes(100) + b"PAR1", "corrupted file"),
    "case.parquet": aside(parquet({"id": [1], "ID": [2]}), "differ by case alone: ID, id"),
    "broken page.parquet": aside(with_a_broken_page(), "CRC checksum"),
}


@pytest.fixture(scope="module")
def of_parquet(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = empty_lake(tmp_path_factory, "format=parquet", "schema='id bigint, name string'")
    land(lake, PARQUET)
    return run_twice(lake, "later.parquet", parquet({"id": [99]}))


@pytest.mark.parametrize("name", PARQUET)
def test_parquet(of_parquet: Lake, name: str) -> None:
    assert_fate(of_parquet, name, PARQUET[name])


def test_all_parquet_is_accounted_for_and_the_next_file_is_read(of_parquet: Lake) -> None:
    assert_account(of_parquet, [*PARQUET, "later.parquet"])
    assert_fate(of_parquet, "later.parquet", Fate(b"", [{"id": 99}]))


def test_avro_files_that_are_cut_or_broken(
    spark: SparkSession, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    many = spark.range(20_000).selectExpr("id", "md5(string(id)) AS name").coalesce(1)
    many.write.format(AVRO).save(str(tmp_path / "many"))
    content = next((tmp_path / "many").glob("part-*")).read_bytes()
    fates = {
        "cut.avro": aside(content[: len(content) // 2], "EOFException"),
        "broken.avro": aside(broken(content, len(content) // 2), "Checksum failure"),
        "no header.avro": aside(content[100:], "not an avro file"),
        "zero.avro": Fate(b"", state="SKIPPED", error="empty file"),
    }
    lake = empty_lake(tmp_path_factory, "format=avro", "schema='id bigint, name string'")
    land(lake, fates)
    lake.drop_bytes("good.avro", content)
    lake.run("bronze")
    lake.run("bronze")
    told = {Path(path).name: one for path, one in lake.files().items()}
    for name, fate in fates.items():
        assert told[name]["state"] == fate.state, name
        assert fate.error in told[name]["error"]
    assert (told["good.avro"]["state"], told["good.avro"]["rows"]) == ("COMMITTED", 20_000)
    assert {row["id"] for row in lake.rows("bronze.sales")} == set(range(20_000))
