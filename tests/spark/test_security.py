"""What a real session listens on, what its SQL cannot do, and files that name code to run."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from support.own import OwnLake
from support.sockets import listening

from medallion_jobs.engine import security, session
from medallion_jobs.lake import tables

# The second is what Spark says of a name in three parts that it does not find.
GONE = "UNRESOLVED_ROUTINE|REQUIRES_SINGLE_PART_NAMESPACE"
SPARK_SCHEMA = "org.apache.spark.sql.parquet.row.metadata"


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are read from /proc")
def test_with_a_local_master_nothing_listens_to_the_network(spark: SparkSession) -> None:
    jvm: Any = spark._jvm
    heard = listening(jvm.java.lang.ProcessHandle.current().pid())
    assert len(heard) >= 2  # the driver, and the block manager's
    assert [one for one in heard if not one.startswith(("127.", "::1:"))] == []


@pytest.mark.parametrize(
    "call",
    [
        "reflect('java.lang.System', 'getenv', 'HOME')",
        "`reflect`('java.lang.System', 'getenv', 'HOME')",
        "try_reflect('java.lang.System', 'getenv', 'HOME')",
        "java_method('java.lang.System', 'getenv', 'HOME')",
        "builtin.reflect('java.lang.System', 'getenv', 'HOME')",
        "system.builtin.reflect('java.lang.System', 'getenv', 'HOME')",
        "IDENTIFIER('ref' || 'lect')('java.lang.System', 'getenv', 'HOME')",
        "transform(array('HOME'), x -> reflect('java.lang.System', 'getenv', x))",
    ],
)
def test_no_expression_calls_a_class_of_the_jvm(spark: SparkSession, call: str) -> None:
    for one in (spark, session.beside(spark)):
        with pytest.raises(AnalysisException, match=GONE):
            one.range(1).select(F.expr(call)).collect()
        # As a streaming query has it.
        with pytest.raises(AnalysisException, match=GONE):
            one._jsparkSession.cloneSession().sql(f"SELECT {call}")


def test_a_variable_of_the_environment_is_a_text_in_sql(spark: SparkSession) -> None:
    assert spark.sql("SELECT '${env:HOME}' AS said").first()["said"] == "${env:HOME}"  # type: ignore[index]


@pytest.mark.parametrize(
    ("told", "hidden"),
    [
        ("jdbc:postgresql://ana:s3cr,e=t@db:5432/x", "s3cr,e=t"),
        ("redis://:hunter22@cache", "hunter22"),
        ("AccountName=a;AccountKey=abc+/==;x=1", "abc+/=="),
        ("url=https://x/?sig=zz9%2F&se=1, PASSWORD=hunter22]", "zz9%2F"),
        ("token=hunter22", "hunter22"),
    ],
)
def test_passwords_in_texts_are_hidden_from_plans(
    spark: SparkSession, told: str, hidden: str
) -> None:
    jvm: Any = spark._jvm
    pattern = jvm.java.util.regex.Pattern.compile(security.IN_TEXTS)
    said = pattern.matcher(told).replaceAll("***")
    assert hidden not in said
    assert "hunter22" not in said
    assert said.startswith(told[: told.index(hidden) - 1])
    # What looks alike stays as it is.
    plain = "struct<a:int,b:bigint> file:/lake/x@y mytoken=1 s3a://lake/a:b/c count(x)#1L = 2"
    assert pattern.matcher(plain).replaceAll("***") == plain


def test_hiding_them_costs_little(spark: SparkSession) -> None:
    jvm: Any = spark._jvm
    plan = jvm.java.lang.StringBuilder("+- *(2) Project [a#12L, cast(b#13 as int)]\n" * 10_000)

    def least_seconds(pattern: str) -> float:
        compiled, took = jvm.java.util.regex.Pattern.compile(pattern), []
        for _ in range(5):
            started = time.monotonic()
            compiled.matcher(plan).replaceAll("***")
            took.append(time.monotonic() - started)
        return min(took)

    # Spark does it at every step of a query; the other one looks behind itself at each character.
    looks_behind = r"(?i)(?<=\b(?:passwd|password|token|sig)=)[^&]+"
    assert least_seconds(security.IN_TEXTS) < least_seconds(looks_behind) / 2


# A config takes `${…}` for a placeholder, so only data can hold that.
ODD = "it's a `lake`; -- $HOME"
# Delta takes no blank, comma, semicolon, brace, bracket or equals sign in a column's name.
COLUMN = "a`b'\"--$HOME"
QUOTED = "`" + COLUMN.replace("`", "``") + "`"


def test_odd_names_of_folders_files_and_columns_are_names(
    tmp_path: Path, spark: SparkSession
) -> None:
    config = f"""\
        pipeline: odd
        bronze:
          odd: {{source: {{format: json, schema: {json.dumps(f"{QUOTED} string, n bigint")}}}}}
        silver:
          odd:
            from: bronze.odd
            where: {json.dumps(f"{QUOTED} IS NOT NULL")}
            columns: {{m: n + 1}}
            schema: {json.dumps(f"{QUOTED} string, m bigint")}
            layout: {{optimize_after: 1}}
        """
    # Delta itself cannot quote a backtick in a folder's name; the config refuses one.
    lake = OwnLake.of(tmp_path / ODD.replace("`", ""), config)
    rows = [{COLUMN: text, "n": n} for n, text in enumerate((ODD, "\\'`\"", "${env:HOME}"))]
    lake.land("odd", f"{COLUMN.replace('/', '')}.json", *rows)
    lake.run("bronze", "silver")
    assert sorted((row[COLUMN], row["m"]) for row in lake.rows("silver.odd")) == sorted(
        (row[COLUMN], row["n"] + 1) for row in rows
    )

    told = {"delta.appendOnly": "false", "user.said": ODD + "\\"}
    tables.set_properties(spark, lake.path("silver.odd"), told)
    there = tables.snapshot(lake.path("silver.odd"))
    assert there
    assert there.properties.items() >= told.items()


# Python would import `this`, and Java make a Date.
CODE = (
    {"type": "udt", "pyClass": "this.Zen", "serializedClass": "", "sqlType": "string"},
    {"type": "udt", "class": "java.util.Date", "pyClass": None, "sqlType": "string"},
)


def test_a_parquet_file_cannot_name_code_to_load(tmp_path: Path, spark: SparkSession) -> None:
    config = """\
        pipeline: files
        bronze:
          files: {source: {format: parquet, schema: a string}}
        """
    lake = OwnLake.of(tmp_path, config)
    folder = lake.landing / "files"
    folder.mkdir(parents=True)
    good = pa.table({"a": ["good"]})
    pq.write_table(good, folder / "good.parquet")
    for number, kind in enumerate(CODE):
        of_many = {"type": "array", "elementType": kind, "containsNull": True}
        field = {"name": "a", "type": of_many, "nullable": True, "metadata": {}}
        schema = json.dumps({"type": "struct", "fields": [field]})
        hostile = good.replace_schema_metadata({SPARK_SCHEMA: schema})
        pq.write_table(hostile, folder / f"hostile-{number}.parquet")

    lake.run("bronze")

    assert [row["a"] for row in lake.rows("bronze.files")] == ["good"]
    bad = [told for path, told in lake.files().items() if "hostile" in path]
    assert [told["state"] for told in bad] == ["QUARANTINED"] * len(CODE)
    assert all("names code to load (udt)" in told["error"] for told in bad)
    assert "this" not in sys.modules
