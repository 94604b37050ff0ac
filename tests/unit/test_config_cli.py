"""`medallion config`, and what must be in step with the model: the schema and the docs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medallion_jobs.cli.config import _print_lines, app
from medallion_jobs.config import ConfigError, Pipeline, json_schema, load, reader_options
from medallion_jobs.config.reference import markdown_tables
from medallion_jobs.config.schema import JsonSchema, schema_at

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs" / "config.md"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_show_prints_every_path_and_value() -> None:
    rows = dict(line.split(maxsplit=1) for line in run("show").splitlines())
    assert rows["storage.root"] == "./lake"
    assert rows["trigger.interval"] == "10s"
    assert rows["bronze.sales.source.max_bytes_per_trigger"] == "1g"
    assert rows["bronze.sales.source.path"] == "null"
    assert rows["gold.sales_by_region_day.group_by"] == "[region, order_date]"


def test_show_tells_who_set_each_value() -> None:
    printed = run("show", "--origin", "--set", "spark.master=local[2]")
    rows = {
        path: (by, value)
        for path, by, value in (line.split(maxsplit=2) for line in printed.splitlines())
    }
    assert rows["pipeline"] == ("conf/sales.yaml:4", "sales")
    assert rows["storage.root"] == ("conf/base.yaml:4", "./lake")
    assert rows["spark.master"] == ("--set", "local[2]")
    assert rows["spark.shuffle_partitions"] == ("default", "2")
    assert rows["silver.sales.lookups.0.how"] == ("default", "left")


def test_show_prints_json_for_programs() -> None:
    plain = json.loads(run("show", "--json"))
    with_origin = json.loads(run("show", "--json", "--origin"))
    assert plain["silver.sales.lookups.0.take.region"] == "region"
    assert {path: cell["value"] for path, cell in with_origin.items()} == plain
    assert with_origin["landing.root"]["origin"] == "conf/base.yaml:6"


def test_show_prints_lines_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    settings = load(Path("conf/sales.yaml"), overrides=["spark.master=local[2]"]).settings
    _print_lines(settings, origin=True)
    printed = capsys.readouterr().out
    assert "spark.master: local[2]  (--set)\n" in printed
    assert "(conf/base.yaml:4)\n" in printed


def test_show_refuses_a_wrong_config_and_prints_nothing() -> None:
    result = CliRunner().invoke(app, ["show", "--set", "storge.root=x"])
    assert isinstance(result.exception, ConfigError)
    assert result.stdout == ""


def test_the_schema_file_is_in_step_with_the_model() -> None:
    """Update it with: medallion config schema > conf/pipeline.schema.json"""
    file = REPOSITORY / "conf" / "pipeline.schema.json"
    assert file.read_text() == run("schema")


def test_the_tables_of_the_docs_are_in_step_with_the_model() -> None:
    """Update it with the output of: medallion config schema --markdown"""
    assert run("schema", "--markdown") == markdown_tables()
    assert DOCS.read_text().endswith(markdown_tables())


def test_the_docs_tell_the_readers_options() -> None:
    """Update the page with `reader_options.markdown_table()`."""
    page = (REPOSITORY / "docs" / "autoloader.md").read_text()
    told = page.partition("<!-- options -->\n")[2].partition("<!-- /options -->")[0]
    assert told == reader_options.markdown_table()


def test_the_docs_print_mistakes_as_they_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = DOCS.read_text().partition("## Mistakes")[2]
    (config, printed) = re.findall(r"```(?:yaml|text)\n(.*?\n)```", section, re.DOTALL)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "web.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as raised:
        load(Path("conf/web.yaml"), environ={})
    assert f"{raised.value}\n" == printed


def every_property(schema: JsonSchema) -> list[tuple[str, JsonSchema]]:
    mappings = [schema, *schema["$defs"].values()]
    return [pair for mapping in mappings for pair in mapping["properties"].items()]


def test_every_key_of_the_schema_has_a_description() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["pipeline"]
    for key, child in every_property(schema):
        assert child.get("description"), key
        assert not key.endswith("schema_")
        assert "from_" not in key


def test_the_schemas_defaults_are_those_in_force(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("pipeline: x\nbronze: {b: {source: {format: json, schema: a int}}}\n")
    defaults = {
        setting.path: setting.value
        for setting in load(file, environ={}).settings
        if str(setting.origin) == "default"
    }
    assert defaults["bronze.b.source.max_bytes_per_trigger"] == "1g"
    for path, value in defaults.items():
        at = path.split(".")
        assert (schema_at(tuple(at)) or {}).get("default", {}) == value, path


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        (("bronze", "b", "source", "schema"), "a int", " "),
        (("trigger", "interval"), "10s", "10"),
        (("spark", "driver_memory"), "2g", "2"),
        (("silver", "s", "from"), "bronze.b", "gold.g"),
        (("pipeline",), "sales", "9"),
    ],
)
def test_the_schemas_patterns_judge_as_the_model_does(
    path: tuple[str, ...], good: str, bad: str
) -> None:
    pattern = (schema_at(path) or {})["pattern"]
    assert re.search(pattern, good)
    assert not re.search(pattern, bad)


def test_names_in_yaml_are_those_of_the_schema() -> None:
    assert set(json_schema()["properties"]) == set(Pipeline.model_fields)


def test_the_config_needs_no_pyspark() -> None:
    code = "import sys, medallion_jobs.cli.config; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
