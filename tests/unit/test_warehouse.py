"""What a load decides without a database: types, names, keys, and which faults are passing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import types as T

from medallion_jobs.config import ConfigError, load
from medallion_jobs.config.sinks import index_of, staging_of
from medallion_jobs.errors import DataError, MedallionError, TransientError, UsageError
from medallion_jobs.sinks.postgres.columns import stored, widens
from medallion_jobs.sinks.postgres.faults import DatabaseError, Place, explained
from medallion_jobs.sinks.postgres.names import Target, quoted
from medallion_jobs.sinks.postgres.shape import creation

PLACE = Place("gold.totals", "warehouse", "public.totals")
CONFIG = """\
pipeline: shop
bronze:
  sales: {source: {format: json, schema: region string}}
silver:
  sales: {from: bronze.sales}
gold:
  totals:
    from: silver.sales
    group_by: [region]
    measures: {n: count(*)}
    sinks:
      - jdbc: {url: "jdbc:postgresql://127.0.0.1/db", SETTING}
"""


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("smallint", "integer"),
        ("integer", "bigint"),
        ("bigint", "numeric(19,0)"),
        ("bigint", "numeric"),
        ("numeric(12,2)", "numeric(14,4)"),
        ("numeric(12,2)", "numeric"),
        ("real", "double precision"),
        ("character varying(10)", "text"),
        ("text", "character varying"),
        ("date", "date"),
    ],
)
def test_what_holds_each_value_of_another_type(narrow: str, wide: str) -> None:
    assert widens(narrow, wide)
    assert (
        narrow == wide
        or {narrow, wide} == {"text", "character varying"}
        or not widens(wide, narrow)
    )


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("bigint", "numeric(20,2)"),
        ("bigint", "double precision"),
        ("integer", "numeric(5,-5)"),
        ("numeric", "numeric(38,0)"),
        ("numeric(12,2)", "numeric(13,4)"),
        ("text", "character varying(10)"),
        ("integer", "text"),
        ("date", "timestamp with time zone"),
        ("boolean", "integer"),
    ],
)
def test_what_does_not(narrow: str, wide: str) -> None:
    assert not widens(narrow, wide)


def test_types_without_a_like_are_refused_by_their_columns() -> None:
    columns = {
        "a": T.IntegerType(),
        "b": T.DayTimeIntervalType(),
        "c": T.VariantType(),
        "d" * 64: T.StringType(),
        "e": T.YearMonthIntervalType(),
    }
    schema = T.StructType([T.StructField(name, kind) for name, kind in columns.items()])
    with pytest.raises(UsageError) as caught:
        stored(schema, PLACE)
    assert [line.split(":")[0].strip() for line in caught.value.what.splitlines()[1:]] == [
        "b",
        "c",
        "d" * 64,
        "e",
    ]


def test_names_are_to_the_letter_and_never_too_long() -> None:
    assert quoted('a"; DROP TABLE b; --') == '"a""; DROP TABLE b; --"'
    long, longer = Target("public", "t" * 62), Target("public", "t" * 63)
    assert Target("public", "totals").staging == '"public"."totals__staging"'
    assert len({long.staging, longer.staging}) == 2
    assert {len(one.staging) for one in (long, longer)} == {len('"public".""') + 63}


@pytest.mark.parametrize(("server", "unique"), [(140_000, False), (150_000, True)])
def test_the_index_is_unique_where_nulls_can_be_equal(server: int, unique: bool) -> None:
    schema = T.StructType().add("region", T.StringType()).add("n", T.LongType())
    columns = stored(schema, PLACE)
    table, index = creation(Target("public", "t"), columns, ["region"], server).statements
    assert table == 'CREATE TABLE "public"."t" ("region" text, "n" bigint)'
    assert ("UNIQUE" in index, "NULLS NOT DISTINCT" in index) == (unique, unique)


@pytest.mark.parametrize(
    ("state", "kind", "passing"),
    [
        ("08001", TransientError, True),
        ("08006", TransientError, True),
        ("57P01", TransientError, True),
        ("40001", TransientError, True),
        ("40P01", TransientError, True),
        ("53300", TransientError, True),
        ("55P03", TransientError, True),
        ("08004", UsageError, False),
        ("28P01", UsageError, False),
        ("3D000", UsageError, False),
        ("42501", UsageError, False),
        ("0A000", UsageError, False),
        ("23514", DataError, False),
        ("22003", DataError, False),
        ("", DataError, False),
    ],
)
def test_what_is_worth_another_try(state: str, kind: type[MedallionError], passing: bool) -> None:
    error = DatabaseError(state, "no")
    assert error.is_passing == passing
    told = explained(error, PLACE, 5)
    assert type(told) is kind
    assert "medallion load gold.totals" in told.next_step


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("url: 'jdbc:postgresql://ann:word@h/d'", "not hold a login"),
        ("url: 'jdbc:postgresql://h/d?password=word'", "what follows `?`"),
        ("options: {socketFactory: evil.Factory}", "socketFactory"),
        ("options: {password: word}", "password"),
        ("password: word", "a secret"),
        (f"table: {'t' * 64}", "63"),
        ('schema: "a\\"b"', "letters"),
    ],
)
def test_a_sink_that_is_refused(setting: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    text = CONFIG.replace("SETTING", setting)
    if setting.startswith("url"):
        text = text.replace('url: "jdbc:postgresql://127.0.0.1/db", ', "")
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, None, (), environ={})
    assert told in str(caught.value)
    assert "word" not in str(caught.value).replace("password", "")


LONG = "x" * 64
GOLD = """\
pipeline: shop
bronze:
  sales: {source: {format: json, schema: region string}}
silver:
  sales: {from: bronze.sales}
gold:
"""
TABLE = "  {name}: {{from: silver.sales, {body}, sinks: [{sinks}]}}\n"
SINK = "{{jdbc: {{url: 'jdbc:postgresql://h/d', {}}}}}"


def gold(name: str = "totals", body: str = "", sinks: tuple[str, ...] = ("schema: public",)) -> str:
    body = body or "group_by: [region], measures: {n: count(*)}"
    return TABLE.format(name=name, body=body, sinks=", ".join(map(SINK.format, sinks)))


def mistakes(tmp_path: Path, *tables: str) -> dict[str, str]:
    """The problems of a config with these gold tables, by their places."""
    file = tmp_path / "shop.yaml"
    file.write_text(GOLD + "".join(tables))
    try:
        load(file, None, (), environ={})
    except ConfigError as error:
        return {problem.path: problem.what for problem in error.problems}
    return {}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (f"group_by: [{LONG}], measures: {{n: count(*)}}", "group_by.0"),
        (f"group_by: [region], measures: {{{LONG}: count(*)}}", f"measures.{LONG}"),
        (
            f"group_by: [region], measures: {{n: count(*)}}, columns: {{{LONG}: n}}",
            f"columns.{LONG}",
        ),
        (f"period: {{of: t, by: day, name: {LONG}}}, measures: {{n: count(*)}}", "period.name"),
        (
            f"group_by: [region], measures: {{n: count(*)}}, "
            f"period: {{of: t, by: session, gap: 1h, name: {'x' * 58}}}",
            "period.name",
        ),
    ],
)
def test_a_column_with_a_name_that_postgres_would_cut(body: str, path: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, gold(body=body))
    assert list(found) == [f"gold.totals.{path}"]
    assert "64 bytes, more than the 63" in found[f"gold.totals.{path}"]
    assert mistakes(tmp_path, gold(body=body.replace("xx", "x", 1))) == {}
    assert mistakes(tmp_path, gold(body=body, sinks=())) == {}


def test_names_that_postgres_has_itself(tmp_path: Path) -> None:
    body = "group_by: [region], measures: {xmin: min(n), n: count(*)}, columns: {ctid: n}"
    found = mistakes(tmp_path, gold(body=body))
    assert list(found) == ["gold.totals.measures.xmin", "gold.totals.columns.ctid"]
    assert all("give it another name" in what for what in found.values())
    loads = mistakes(tmp_path, gold(name="medallion_loads"))
    assert list(loads) == ["gold.medallion_loads.sinks.0.jdbc"]


def test_a_table_with_a_name_that_postgres_would_cut(tmp_path: Path) -> None:
    found = mistakes(tmp_path, gold(name=LONG))
    assert list(found) == [f"gold.{LONG}.sinks.0.jdbc"]
    assert mistakes(tmp_path, gold(name=LONG, sinks=("table: short",))) == {}
    assert mistakes(tmp_path, gold(name="x" * 63)) == {}


@pytest.mark.parametrize(
    ("tables", "clash"),
    [
        ((gold("a", sinks=("table: t",)), gold("b", sinks=("table: t",))), "t"),
        ((gold("a"), gold("b", sinks=("table: a",))), "a"),
        ((gold("a", sinks=("table: t", "table: t")),), "t"),
        ((gold("a"), gold("a__staging")), "a__staging"),
        ((gold("a__keys"), gold("a")), "a__keys"),
        ((gold("a"), gold("b", sinks=("schema: other, table: a",))), None),
        ((gold("a"), gold("A_")), None),
        ((gold("a", sinks=("table: t",)), gold("b", sinks=("table: T",))), None),
    ],
)
def test_names_that_would_be_the_same_in_the_database(
    tables: tuple[str, ...], clash: str | None, tmp_path: Path
) -> None:
    found = mistakes(tmp_path, *tables)
    assert len(found) == (clash is not None)
    assert all(f"would both be {clash} in the database" in what for what in found.values())


def test_derived_names_are_cut_to_the_byte() -> None:
    """A config has names in ASCII; others may not."""
    for name in ("t" * 63, "ä" * 31, "☃" * 21, "t" + "ä" * 31):
        derived = [staging_of(name), index_of(name)]
        assert all(len(one.encode()) <= 63 for one in derived)
        assert len({name, *derived}) == 3
