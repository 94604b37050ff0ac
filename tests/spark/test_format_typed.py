"""parquet, avro, text and binary files."""

from __future__ import annotations

import datetime
import gzip
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType
from support.records import Read, found, read

from medallion_jobs.autoloader.readers.avro_files import AVRO, AvroFiles
from medallion_jobs.autoloader.readers.binary_files import BinaryFiles
from medallion_jobs.autoloader.readers.parquet_files import ParquetFiles
from medallion_jobs.autoloader.readers.records import FormatReader, Input, UnreadableError
from medallion_jobs.autoloader.readers.text_files import TextFiles
from medallion_jobs.errors import UsageError

WANTED = """id bigint, name string, price decimal(10,2), ratio double,
    s struct<a: bigint, b: string>, l array<struct<a: bigint>>, m map<string, bigint>"""
# By file: what Spark selects to write it.
FILES = {
    "same": "1L AS id, 'a' AS name, 1.50BD AS price, 0.5D AS ratio, "
    "named_struct('a', 1L, 'b', 'x') AS s, array(named_struct('a', 1L)) AS l, map('k', 1L) AS m",
    "reordered": "'a' AS name, 1L AS id",
    "wider": "1 AS id, 1.5BD AS price, 0.5F AS ratio, named_struct('b', 'x', 'a', 1) AS s, "
    "array(named_struct('a', 1), null) AS l, map('k', 1) AS m",
    "narrower": "1.5D AS id, 1.555BD AS price, 5L AS ratio, true AS name",
    "extra": "1L AS id, unhex('00ff') AS `bytes`, timestamp'2024-01-01 10:00:00.123456' AS at, "
    "cast(null AS string) AS nothing, 'x' AS `has space`",
    "case": "1L AS ID, 'a' AS name",
    "inner": "named_struct('a', 1L) AS s, array(named_struct('a', 1L, 'z', 2)) AS l, "
    "map('k', 'v') AS m",
    "inner_type": "named_struct('a', 'text', 'b', 'x') AS s, 'text' AS l",
    "nulls": "cast(null AS bigint) AS id, cast(null AS struct<a: string, z: int>) AS s",
}
READERS: dict[str, FormatReader] = {"parquet": ParquetFiles(), "avro": AvroFiles()}


def written(spark: SparkSession, kind: str, select: str, to: Path, **options: str) -> Path:
    """A file with one row."""
    if kind == "avro":
        select = select.replace("`has space`", "has_space")
    rows = spark.sql(f"SELECT {select}").coalesce(1)
    writer = rows.write.format(AVRO if kind == "avro" else kind).options(**options)
    writer.save(str(to.with_suffix(".folder")))
    return next(to.with_suffix(".folder").glob("part-*")).rename(to)


@pytest.fixture(scope="module", params=sorted(READERS))
def a_day(
    request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Read:
    """All files, read together."""
    folder = tmp_path_factory.mktemp(request.param)
    files = [written(spark, request.param, select, folder / name) for name, select in FILES.items()]
    (folder / "odd [1]{2}*?,é%20").write_bytes((folder / "same").read_bytes())
    (folder / "empty").write_bytes(b"")
    files += [folder / "odd [1]{2}*?,é%20", folder / "empty"]
    return read(spark, READERS[request.param], files, WANTED)


def test_a_column_takes_its_type_or_a_narrower_one(a_day: Read) -> None:
    price = Decimal("1.50")
    row = (1, "a", price, 0.5, (1, "x"), [(1,)], {"k": 1})
    assert a_day.rows["same"] == a_day.rows["odd [1]{2}*?,é%20"] == [row]
    assert a_day.rows["reordered"] == [(1, "a", None, None, None, None, None)]
    assert a_day.rows["wider"] == [(1, None, price, 0.5, (1, "x"), [(1,), None], {"k": 1})]
    assert {"same", "reordered", "wider", "nulls", "empty"}.isdisjoint(a_day.rescued)
    assert a_day.rows["nulls"] == [(None,) * 7]
    assert a_day.bad == {}


def test_what_does_not_fit_is_rescued(a_day: Read) -> None:
    # A number is taken where it is the same in the type of the column.
    assert a_day.rows["narrower"] == [(None, None, None, 5.0, None, None, None)]
    assert a_day.rescued["narrower"] == [{"id": 1.5, "price": 1.555, "name": True}]
    [extra] = a_day.rescued["extra"]
    assert extra.pop("has space", None) or extra.pop("has_space") == "x"
    assert extra == {"bytes": "AP8=", "at": "2024-01-01T10:00:00.123456Z"}
    assert a_day.rescued["case"] == [{"ID": 1}]
    assert a_day.has_new


def test_within_a_column_what_fits_is_taken_and_the_whole_rescued(a_day: Read) -> None:
    assert a_day.rows["inner"] == [(None, None, None, None, (1, None), [(1,)], {"k": None})]
    assert a_day.rescued["inner"] == [{"l": [{"a": 1, "z": 2}], "m": {"k": "v"}}]
    assert a_day.rows["inner_type"] == [(None, None, None, None, (None, "x"), None, None)]
    assert a_day.rescued["inner_type"] == [{"s": {"a": "text", "b": "x"}, "l": "text"}]


@pytest.mark.parametrize("kind", sorted(READERS))
def test_columns_are_inferred_over_all_files(
    spark: SparkSession, tmp_path: Path, kind: str
) -> None:
    reader = READERS[kind]
    one = written(spark, kind, "1 AS id, named_struct('a', 1) AS s, 1 AS A", tmp_path / "one")
    two = written(spark, kind, "named_struct('b', 'x') AS s, 2L AS id, 'y' AS z", tmp_path / "two")
    schema = reader.infer(Input(spark, [found(one), found(two)], {}), typed=False)
    wanted = StructType.fromDDL("id bigint, s struct<a: int, b: string>, A int, z string")
    assert schema.simpleString() == wanted.simpleString()
    ddl = "id bigint, s struct<a: int, b: string>, A int, z string"
    assert not read(spark, reader, [one, two], ddl).has_new
    assert read(spark, reader, [one, two], "id bigint, s struct<a: int>, A int, z string").has_new


@pytest.mark.parametrize("kind", sorted(READERS))
def test_files_that_are_none_are_unreadable(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    good = written(spark, kind, FILES["same"], tmp_path / "good")
    (tmp_path / "cut").write_bytes(good.read_bytes()[: 200 if kind == "avro" else -100])
    (tmp_path / "json").write_bytes(b'{"id": 1}\n' * 100)
    (tmp_path / "short").write_bytes(good.read_bytes()[:3])
    names = ["good", "cut", "json", "short"]
    with pytest.raises(UnreadableError) as told:
        read(spark, READERS[kind], [tmp_path / name for name in names], WANTED)
    assert {Path(file.path).name for file in told.value.files} == {"cut", "json", "short"}
    assert all(told.value.files.values())


def test_moments_of_parquet(spark: SparkSession, tmp_path: Path) -> None:
    at = datetime.datetime(2024, 1, 1, 10, 0, 0, 123000)
    plain = pa.table({"t": pa.array([at], pa.timestamp("us"))})
    in_utc = pa.table({"t": pa.array([at], pa.timestamp("ms", "UTC"))})
    pq.write_table(plain, tmp_path / "plain")
    pq.write_table(in_utc, tmp_path / "in_utc")
    nanos = pa.table({"t": pa.array([1_001, 1_000, None, -1], pa.timestamp("ns"))})
    pq.write_table(plain, tmp_path / "int96", use_deprecated_int96_timestamps=True)
    pq.write_table(nanos, tmp_path / "nanos", use_deprecated_int96_timestamps=True)
    files = [tmp_path / name for name in ("plain", "in_utc", "int96")]
    parquet = READERS["parquet"]
    told = read(spark, parquet, files, "t timestamp_ntz")
    assert told.rows["plain"] == [(at,)]
    assert told.rescued["in_utc"] == told.rescued["int96"] == [{"t": "2024-01-01T10:00:00.123000Z"}]
    files = [tmp_path / name for name in ("in_utc", "int96", "nanos")]
    told = read(spark, parquet, files, "t timestamp")
    assert told.rows["in_utc"] == told.rows["int96"] == [(at,)]
    one = datetime.datetime(1970, 1, 1, 0, 0, 0, 1)
    assert told.rows["nanos"] == [(None,), (one,), (None,), (None,)]
    texts = ("1970-01-01T00:00:00.000001001Z", "1969-12-31T23:59:59.999999999Z")
    assert told.rescued["nanos"] == [{"t": text} for text in texts]
    cut = read(spark, parquet, files, "t timestamp", {"nanoseconds": "truncate"})
    before = datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)
    assert cut.rows["nanos"] == [(one,), (one,), (None,), (before,)]


def test_every_codec_of_avro(spark: SparkSession, tmp_path: Path) -> None:
    codecs = ("uncompressed", "deflate", "snappy", "zstandard", "bzip2", "xz")
    files = [
        written(spark, "avro", "1L AS id", tmp_path / codec, compression=codec) for codec in codecs
    ]
    assert read(spark, READERS["avro"], files, "id bigint").rows == {key: [(1,)] for key in codecs}


def test_text(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\r\n\ntwo")
    (tmp_path / "b [1]*.TXT.GZ").write_bytes(gzip.compress(b"one\n"))
    (tmp_path / "empty.txt").write_bytes(b"")
    files = sorted(tmp_path.iterdir())
    text = TextFiles()
    told = read(spark, text, files, "value string")
    assert told.rows == {"a.txt": [("one",), ("",), ("two",)], "b [1]*.TXT.GZ": [("one",)]}
    whole = read(spark, text, files[:1], "value string", {"wholetext": "true"})
    assert whole.rows == {"a.txt": [("one\r\n\ntwo",)]}
    assert text.infer(Input(spark, [], {}), typed=False).simpleString() == "struct<value:string>"
    with pytest.raises(UsageError, match="one column"):
        read(spark, text, files, "line string")


def test_binary(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a [1]*.bin").write_bytes(b"\x00\xff")
    (tmp_path / "empty.bin").write_bytes(b"")
    files = sorted(tmp_path.iterdir())
    binary = BinaryFiles()
    told = read(spark, binary, files, "content binary, length bigint")
    # Spark plans no read of a file without a byte.
    assert told.rows == {"a [1]*.bin": [(bytearray(b"\x00\xff"), 2)]}
    assert read(spark, binary, files, "length bigint").rows["a [1]*.bin"] == [(2,)]
    names = ["path", "modificationTime", "length", "content"]
    assert binary.infer(Input(spark, [], {}), typed=False).names == names
    with pytest.raises(UsageError, match="size"):
        read(spark, binary, files, "size bigint")
