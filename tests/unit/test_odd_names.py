"""Names that mean something to SQL come back from their quotes, and stand in no SQL without."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyspark.sql.types import StructType

from medallion_jobs.config import ConfigError, SilverTable, load
from medallion_jobs.lake.tables import sql
from medallion_jobs.refine.transform.readers import Readers
from medallion_jobs.sinks.postgres import names as postgres
from medallion_jobs.storage import duck

PACKAGE = Path(__file__).parents[2] / "medallion_jobs"
ODD = (
    *("a`b", "`", "``", "c.d", ".", "e'f", "''", 'g"h', '"', '""', "i j", " i", "j ", "$k"),
    *("l$1", "${x}", "m\\n", "\\", "n\no", "é§", "\u202e", "日本", "`; --", "'; --", '"; --'),
)
_FIELD = {"name": "d", "type": "integer", "nullable": True, "metadata": {}}
# A database takes no NUL in a name, and none that is empty.
names = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
)


@given(names)
def test_a_name_comes_back_from_sparks_sql(name: str) -> None:
    for written in (sql.column(name), sql.quoted(name)):
        assert sql.unquoted(written) == name
        assert re.fullmatch(r"`(?:[^`]|``)+`|[A-Za-z_][A-Za-z0-9_]*", written)


@given(st.lists(names, min_size=1))
def test_names_in_a_type_come_back(of: list[str]) -> None:
    fields = [{"name": name, "type": "long", "nullable": True} for name in of]
    told = sql.type_text({"type": "struct", "fields": fields}, always_quoted=True)
    assert re.findall(r"(`(?:[^`]|``)+`): bigint", told) == [sql.column(name) for name in of]


@given(names, names)
@example("a", "A.")
def test_a_name_comes_back_from_duckdb(name: str, other: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE {duck.name(other)} ({duck.name(name)} VARCHAR)")
        connection.execute(f"INSERT INTO {duck.name(other)} VALUES ({duck.text(name)})")
        answer = connection.execute(f"SELECT {duck.name(name)} FROM {duck.name(other)}")
        assert [column[0] for column in answer.description] == [name]
        assert answer.fetchall() == [(name,)]


@given(names)
def test_a_name_comes_back_from_postgresql(name: str) -> None:
    # PostgreSQL, 4.1.1: a quoted identifier holds any character, a quote as two of them.
    written = postgres.quoted(name)
    assert re.fullmatch(r'"(?:[^"]|"")+"', written)
    assert written[1:-1].replace('""', '"') == name


def test_names_that_delta_refuses_are_found_however_deep() -> None:
    inner = {"type": "struct", "fields": [{"name": "i j", "type": "long", "nullable": True}]}
    kinds = [
        {"type": "array", "elementType": inner},
        {"type": "map", "keyType": inner, "valueType": "string"},
        {"type": "map", "keyType": "string", "valueType": inner},
    ]
    fields = [{"name": "a`b.c", "type": kind, "nullable": True} for kind in kinds]
    assert list(sql.unnamable({"type": "struct", "fields": fields})) == ["i j"] * 3
    assert [name for name in ODD if not sql.namable(name)] == [
        *("i j", " i", "j ", "${x}", "n\no", "`; --", "'; --", '"; --'),
    ]


def test_what_sql_reads_is_found_under_any_name() -> None:
    """A quote within backticks begins no text, and `c.d` is no d of c."""
    shaped = StructType.fromJson(
        {
            "type": "struct",
            "fields": [
                {"name": name, "type": kind, "nullable": True, "metadata": {}}
                for name, kind in {
                    **dict.fromkeys(("it's", "that's", "c.d", "n", "a`b"), "string"),
                    "c": {"type": "struct", "fields": [dict(_FIELD)]},
                }.items()
            ],
        }
    )

    def read(**said: object) -> Readers:
        return Readers.of(SilverTable.model_validate({"from": "bronze.t", **said}), shaped)

    for where, values in {
        "`it's` IS NULL OR n = 1 OR `that's` IS NULL": ["`it's`", "`that's`", "n"],
        "`it's` = '`n`' AND `a``b` = \"it's\"": ["`a``b`", "`it's`"],
        "c.d > 0": ["c.d"],
        "`c.d` > 0": ["`c.d`"],
    }.items():
        assert sorted(map(str, read(where=where).where)) == values
    # A lookup takes a column by its name; only another text is SQL.
    lookup = {"table": "silver.d", "on": {"id": "c.d"}, "take": "x"}
    assert [sorted(map(str, one)) for one in read(lookups=[lookup]).lookups] == [["`c.d`"]]


# Wherever a config names a column of its own, and not SQL or a column of a dimension.
PLACES = {
    "rename": "rename: {%s: a}",
    "rename to": "rename: {a: %s}",
    "cast": "cast: {%s: int}",
    "columns": "columns: {%s: '1'}",
    "lookup on": "lookups: [{table: silver.d, on: {%s: a}, take: b}]",
    "lookup take": "lookups: [{table: silver.d, on: a, take: {%s: b}}]",
    "not_null": "expect: {r: {not_null: %s}}",
    "unique": "expect: {r: {unique: [%s]}}",
    "in_set": "expect: {r: {in_set: {%s: [1]}}}",
    "references": "expect: {r: {references: {table: silver.d, on: {%s: a}}}}",
    "watermark": "watermark: {column: %s, delay: 1h}",
    "dedupe": "dedupe: {keys: %s}",
    "keys": "write: upsert\n    sequence: a\n    keys: %s",
    "sequence": "write: scd2\n    keys: a\n    sequence: %s",
    "select": "select: [a, %s]",
    "comments": "layout: {comments: {%s: b}}",
    "partition_by": "layout: {partition_by: [%s]}",
}


@pytest.mark.parametrize("name", ["a`b", "c.d", "e'f", 'g"h', "i j", "$k", "é"])
@pytest.mark.parametrize("place", PLACES)
def test_a_name_of_the_configs_own_is_letters_digits_and_lines(
    tmp_path: Path, place: str, name: str
) -> None:
    file = tmp_path / "odd.yaml"
    said = PLACES[place] % json.dumps(name, ensure_ascii=False)
    file.write_text(
        "pipeline: odd\nbronze: {t: {source: {format: json}}}\n"
        f"silver:\n  t:\n    from: bronze.t\n    {said}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=r"letters, digits and _"):
        load(file, environ={})


def test_no_name_stands_between_quotes_in_sql_as_it_is() -> None:
    """Helpers quote what goes to Spark or to a database; quotes in messages are for people."""
    found = [
        f"{file.relative_to(PACKAGE)}:{text.lineno}"
        for file in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and (quote := _quote_of_names_in(call))
        for part in (*call.args, *(one.value for one in call.keywords))
        for text in ast.walk(part)
        if isinstance(text, ast.JoinedStr) and _has_name_behind(text, quote)
    ]
    assert found == []


def _quote_of_names_in(call: ast.Call) -> str | None:
    """How the SQL that a call takes quotes names; None of another call."""
    if not isinstance(call.func, ast.Attribute):
        return None
    of, name = call.func.value, call.func.attr
    if isinstance(of, ast.Name) and of.id == "F":
        return None if name == "lit" else "`"  # a constant is a value, and no SQL
    if name in ("sql", "where", "filter", "select", "selectExpr", "groupBy", "orderBy"):
        return "`"
    return '"' if name == "execute" else None


def _has_name_behind(text: ast.JoinedStr, quote: str) -> bool:
    pairs = zip(text.values, text.values[1:], strict=False)
    return any(
        isinstance(one, ast.Constant)
        and str(one.value).endswith(quote)
        and isinstance(other, ast.FormattedValue)
        for one, other in pairs
    )
