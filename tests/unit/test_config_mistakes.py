"""Every kind of mistake: where it is told, and what it is told with."""

import sys
from pathlib import Path

import pytest

from medallion_jobs.config import ConfigError, Origin, Problem, load

GOOD = """\
pipeline: web
bronze:
  clicks:
    source:
      format: json
      schema: user_id bigint
silver:
  clicks:
    from: bronze.clicks
    schema: user_id bigint
gold:
  users:
    from: silver.clicks
    group_by: [user_id]
    measures: {clicks: count(*)}
"""


def problems(
    folder: Path,
    text: str = GOOD,
    *overrides: str,
    environ: dict[str, str] | None = None,
) -> list[Problem]:
    file = folder / "web.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(file, overrides=overrides, environ=environ or {})
    # The validator's own words would be of no use to who wrote the YAML.
    for jargon in ("pydantic", "Input should", "valid string", "type=", "Extra inputs"):
        assert jargon not in str(raised.value)
    return raised.value.problems


def only_problem(folder: Path, *overrides: str) -> Problem:
    found = problems(folder, GOOD, *overrides)
    assert len(found) == 1, found
    return found[0]


def test_many_mistakes_are_told_at_once_each_at_its_line(tmp_path: Path) -> None:
    text = """\
pipeline: 9web
spark:
  shuffle_partitions: none
  driver_memory: 2
  conf:
    spark.jars: evil.jar
trigger: {interval: 10 parsecs}
bronze:
  clicks:
    source:
      format: jsn
      max_bytes_per_trigger: 1 gig
      schema: ${env:NO_SUCH_VARIABLE}
silver:
  clicks:
    from: bronze.click
    lookups:
      - table: customers
        on: [customer_id]
        take: []
    columns: {user-name: x}
    schema: a int
    schema: b int
gold:
  users:
    from: silver.clicks
    groupby: [user_id]
    measures: {clicks: count(*)}
    mode: update
"""
    found = problems(tmp_path, text)
    assert [(problem.origin.line, problem.path) for problem in found] == [
        (1, "pipeline"),
        (3, "spark.shuffle_partitions"),
        (4, "spark.driver_memory"),
        (6, "spark.conf.spark.jars"),
        (7, "trigger.interval"),
        (11, "bronze.clicks.source.format"),
        (12, "bronze.clicks.source.max_bytes_per_trigger"),
        (13, "bronze.clicks.source.schema"),
        (16, "silver.clicks.from"),
        (18, "silver.clicks.lookups.0.table"),
        (20, "silver.clicks.lookups.0.take"),
        (21, "silver.clicks.columns.user-name"),
        (23, "silver.clicks.schema"),
        (27, "gold.users.groupby"),
        (29, "gold.users.mode"),
    ]
    assert {problem.origin.source for problem in found} == {str(tmp_path / "web.yaml")}


def test_an_unknown_key_is_told_with_the_nearest(tmp_path: Path) -> None:
    (missing, unknown) = problems(tmp_path, GOOD.replace("measures", "meassures"))
    assert (missing.path, missing.what) == ("gold.users.measures", "a required key is missing")
    assert missing.allowed == "a mapping of names to SQL or to measures, one or more"
    assert (unknown.path, unknown.what) == ("gold.users.meassures", "unknown key")
    assert (unknown.value, unknown.nearest) == ('{"clicks": "count(*)"}', "measures")
    assert unknown.allowed.startswith("from, where, group_by, period, ")


def test_a_missing_key_at_the_top_is_told_at_the_pipelines_file(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("storage: {root: ./lake}\n")
    (problem,) = problems(tmp_path, GOOD.replace("pipeline: web\n", ""))
    assert (problem.path, str(problem.origin)) == ("pipeline", f"{tmp_path / 'web.yaml'}:1")


def test_mistakes_are_told_in_the_order_of_the_layers(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("\nspark: {mastr: yarn}\n")
    found = problems(
        tmp_path, GOOD + "extra: 1\n", "zzz=1", environ={"MEDALLION__STORGE__ROOT": "x"}
    )
    assert [str(problem.origin).rpartition("/")[2] for problem in found] == [
        "base.yaml:2",
        "web.yaml:16",
        "environment MEDALLION__STORGE__ROOT",
        "--set",
    ]
    assert [problem.nearest for problem in found] == ["master", None, "storage", None]


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("pipeline=no-dash", "letters"),
        ("pipeline=" + "x" * 65, "letters"),
        ("pipeline=12", "letters"),
        ("storage=here", "a mapping with the keys root"),
        ("storage.root=", "a folder, as a path"),
        ("storage.root=[a]", "a folder, as a path"),
        ("spark.shuffle_partitions=0", "a whole number"),
        ("spark.shuffle_partitions=true", "a whole number"),
        ("spark.shuffle_partitions=2.0", "a whole number"),
        ("spark.master=locl[2]", "local[N]"),
        ("spark.driver_memory=512", "a size with its unit"),
        ("spark.conf=[]", "a mapping of spark.sql.*"),
        ("spark.conf.spark.sql.x=[1]", "text, a number"),
        ("trigger.interval=10", "a duration such as"),
        ("gold=[]", "a mapping"),
        ("bronze.clicks.source.format=xml", "json or csv or parquet or avro or text or binary"),
        ("bronze.clicks.source.max_bytes_per_trigger=0", "bytes, or a size"),
        ("bronze.clicks.source.max_files_per_trigger=-1", "a whole number"),
        ("silver.clicks.from=gold.users", "bronze.NAME or silver.NAME"),
        ("silver.clicks.schema=' '", "columns as Spark DDL"),
        ("silver.clicks.columns.x=7", "a Spark SQL expression"),
        ("silver.clicks.lookups=silver.customers", "a list of lookups"),
        ("gold.users.from=bronze.clicks", "silver.NAME"),
        ("gold.users.group_by=[]", "a list of names, one or more"),
        ("gold.users.measures=", "one or more"),
        ("gold.users.mode=update", "complete"),
    ],
)
def test_a_value_that_is_not_allowed(tmp_path: Path, override: str, allowed: str) -> None:
    problem = only_problem(tmp_path, override)
    assert problem.path == override.partition("=")[0]
    assert str(problem.origin) == "--set"
    assert allowed in problem.allowed
    assert problem.value is not None


def test_a_number_that_is_none_of_those_allowed(tmp_path: Path) -> None:
    changes = "{keys: id, sequence_by: at, stored_as_scd_type: 3}"
    found = problems(tmp_path, GOOD, f"silver.clicks.apply_changes={changes}")
    allowed = {problem.path: problem.allowed for problem in found}
    assert allowed["silver.clicks.apply_changes.stored_as_scd_type"] == "1 or 2"


@pytest.mark.parametrize(
    ("how", "nearest"), [("lefft", "left"), ("INNER", "inner"), ("cross", None)]
)
def test_a_word_that_is_nearly_right_is_suggested(
    tmp_path: Path, how: str, nearest: str | None
) -> None:
    lookup = f"[{{table: silver.customers, on: id, take: [region], how: {how}}}]"
    problem = only_problem(tmp_path, f"silver.clicks.lookups={lookup}")
    assert (problem.path, problem.nearest) == ("silver.clicks.lookups.0.how", nearest)
    assert problem.allowed == "left or inner"


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("silver.clicks.from=bronze.click", "bronze.clicks"),
        ("silver.clicks.from=silver.nobody_here", None),
        ("gold.users.from=silver.Clicks", "silver.clicks"),
    ],
)
def test_a_table_that_is_not_there(tmp_path: Path, override: str, nearest: str | None) -> None:
    problem = only_problem(tmp_path, override)
    assert (problem.what, problem.nearest) == ("no such table in this pipeline", nearest)


def test_a_lookup_may_be_a_table_of_another_pipeline(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(GOOD)
    lookups = "silver.clicks.lookups=[{table: silver.elsewhere, on: [a, b], take: [c]}]"
    (lookup,) = load(file, overrides=[lookups], environ={}).pipeline.silver["clicks"].lookups
    assert (str(lookup.table), list(lookup.on)) == ("silver.elsewhere", ["a", "b"])


def test_tables_that_read_each_other_are_told_once(tmp_path: Path) -> None:
    text = GOOD.replace("    from: bronze.clicks\n", "    from: silver.more\n").replace(
        "gold:\n", "  more: {from: silver.clicks, schema: a int}\ngold:\n"
    )
    (problem,) = problems(tmp_path, text)
    assert problem.what.endswith("silver.clicks <- silver.more <- silver.clicks")


def test_tables_that_differ_by_case_only_are_refused(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, "silver.CLICKS={from: bronze.clicks, schema: a int}")
    assert "silver.clicks and silver.CLICKS" in problem.what


@pytest.mark.parametrize("text", ["storage.root", "=x", "storage..root=x", ".=1"])
def test_a_set_that_is_no_path_and_value(tmp_path: Path, text: str) -> None:
    problem = only_problem(tmp_path, text)
    assert str(problem.origin) == "--set"
    assert "DOTTED.PATH=VALUE" in problem.allowed


def test_a_set_whose_value_is_no_yaml(tmp_path: Path) -> None:
    key = "bronze.clicks.source.add_columns"
    problem = only_problem(tmp_path, f"{key}=[a")
    assert (problem.path, problem.what.startswith("not YAML")) == (key, True)


@pytest.mark.parametrize(
    ("variable", "path"),
    [
        ("MEDALLION__NO_SUCH", "no_such"),
        ("MEDALLION__", ""),
        ("MEDALLION__STORAGE____ROOT", ""),
        ("MEDALLION__SPARK__CONF__SPARK__SQL__MAXPLANSTRINGLENGTH", None),
    ],
)
def test_a_variable_that_names_no_key(tmp_path: Path, variable: str, path: str | None) -> None:
    (problem,) = problems(tmp_path, environ={variable: "1"})
    assert str(problem.origin) == f"environment {variable}"
    assert problem.path == ("spark.conf.spark.sql.maxplanstringlength" if path is None else path)


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(GOOD)
    load(file, environ={"MEDALLION_ENV": "x", "MEDALLIONS__X": "1", "PATH": "/bin"})


def test_the_error_ends_with_what_was_left_and_what_to_type(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("pipeline: web\nsilvr: 1\n")
    with pytest.raises(ConfigError) as raised:
        load(file, environ={})
    assert raised.value.exit_code == 2
    assert str(raised.value).splitlines()[-2:] == [
        "  untouched: nothing was started or written",
        f"  next:      fix them, then: medallion config show --config {file}",
    ]


def test_a_long_or_unprintable_value_is_cut_and_escaped(tmp_path: Path) -> None:
    cut = only_problem(tmp_path, "spark.master=" + "x" * 5000)
    assert len(cut.value or "") == 160
    escaped = only_problem(tmp_path, r'spark.master="\e[31mred"')
    assert escaped.value == r'"\u001b[31mred"'


@pytest.mark.parametrize(
    ("form", "option", "allowed"),
    [
        ("csv", "skip_rows=-1", "a number of lines, 0 or more"),
        ("csv", "skip_rows=true", "a number of lines, 0 or more"),
        ("csv", "header_case=lower", "ignore or exact"),
        ("csv", "header=yes", "true or false"),
        ("csv", "decimal_comma=1", "true or false"),
        ("csv", "quote='||'", "one character, or empty for none"),
        ("csv", "sep=''", "one or several characters, and no line end"),
        ("csv", "rename_columns=camelCase", "snake_case, or a mapping"),
        ("csv", "rename_columns={a: x, b: x}", "snake_case, or a mapping"),
        ("csv", "rename_columns={a: [x]}", "snake_case, or a mapping"),
        ("csv", "nullValue={a: b}", "text, a number, true or false"),
        ("json", "multiLine=yes", "true or false"),
    ],
)
def test_a_value_that_an_option_does_not_take(
    tmp_path: Path, form: str, option: str, allowed: str
) -> None:
    name = option.partition("=")[0]
    problem = only_problem(
        tmp_path,
        f"bronze.clicks.source.format={form}",
        f"bronze.clicks.source.options.{option}",
    )
    assert problem.path == f"bronze.clicks.source.options.{name}"
    assert allowed in problem.what


@pytest.mark.parametrize(
    ("form", "option", "told"),
    [
        ("csv", "delimeter", "did you mean `delimiter`"),
        ("csv", "Header", "`header`"),
        ("csv", "skiprows", "did you mean `skip_rows`"),
        ("csv", "rename_column", "did you mean `rename_columns`"),
        ("json", "allowComments", "multiLine"),
        ("parquet", "mergeSchema", "it has nanoseconds"),
        ("parquet", "nanoseconds", "allowed: rescue or truncate"),
        ("binary", "wholetext", "it has none"),
    ],
)
def test_an_option_that_a_format_does_not_know(
    tmp_path: Path, form: str, option: str, told: str
) -> None:
    problem = only_problem(
        tmp_path,
        f"bronze.clicks.source.format={form}",
        f"bronze.clicks.source.options.{option}=true",
    )
    assert problem.path == f"bronze.clicks.source.options.{option}"
    assert told in problem.what


@pytest.mark.parametrize(
    ("option", "meant"),
    [("separator", "sep"), ("charset", "encoding"), ("quoteChar", "quote"), ("headers", "header")],
)
def test_an_option_by_the_name_that_another_program_gives_it(
    tmp_path: Path, option: str, meant: str
) -> None:
    problem = only_problem(
        tmp_path, "bronze.clicks.source.format=csv", f"bronze.clicks.source.options.{option}=x"
    )
    assert f"did you mean `{meant}`?" in problem.what


@pytest.mark.parametrize("line", ["\tfrom: bronze.clicks", "  \tfrom: bronze.clicks"])
def test_a_tab_that_indents_is_named_at_its_line(tmp_path: Path, line: str) -> None:
    (problem,) = problems(tmp_path, GOOD.replace("    from: bronze.clicks", line))
    assert problem.origin.line == 1 + GOOD.splitlines().index("    from: bronze.clicks")
    assert "a tab is used to indent" in problem.what


def test_the_next_step_has_the_options_that_were_given(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "prod.yaml").write_text("storage: {root: /lake}\n")
    file = tmp_path / "my web.yaml"
    file.write_text(GOOD)
    given = ["gold.users.mode=none", "spark.master=local[2]", "spark.conf.spark.x.password=abc"]
    with pytest.raises(ConfigError) as raised:
        load(file, "prod", given, environ={})
    assert raised.value.next_step == (
        f"fix them, then: medallion config show --config '{file}' --env prod "
        "--set gold.users.mode=none --set 'spark.master=local[2]' "
        "--set spark.conf.spark.x.password=***"
    )


def test_the_wrong_part_of_sql_is_marked() -> None:
    def shown(sql: str, part: str) -> list[str]:
        at = (sql.index(part), sql.index(part) + len(part))
        return str(Problem(Origin("web.yaml", 3), "a", "wrong", sql, at=at)).splitlines()[1:]

    assert shown("to_date(order_at)", "order_at") == [
        "    value:   to_date(order_at)",
        "                     ^^^^^^^^",
    ]
    long = "coalesce(" + ", ".join(f"column_{n}" for n in range(40)) + ")"
    value, mark = shown(long, "column_20")
    assert len(value) <= 80
    assert value[mark.index("^") : mark.rindex("^") + 1] == "column_20"
    # Of several lines the one with the mistake; a mistake at the end is after the text.
    assert shown("a +\n  b + c", "b") == ["    value:     b + c", "               ^"]
    assert str(Problem(Origin("x"), "a", "wrong", "a +", at=(3, 4))).splitlines()[1:] == [
        "    value:   a +",
        "                ^",
    ]


def test_the_projects_own_packages_can_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "conf").mkdir()
    for file, project in (("conf/web.yaml", ""), ("jobs/web.yaml", "jobs")):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(GOOD)
        load(tmp_path / file, environ={})
        assert str(tmp_path / project) not in sys.path
        load(tmp_path / file, overrides=["python_packages=[shop]"], environ={})
        assert sys.path[-1] == str(tmp_path / project)
