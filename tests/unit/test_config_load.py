"""Layers, origins and places of a config that holds no mistake."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from medallion_jobs.config import ConfigError, Measure, Pipeline, TableRef, load, outline
from medallion_jobs.lake.paths import TablePaths

REPOSITORY = Path(__file__).parents[2]
MINIMAL = """\
pipeline: web
bronze:
  clicks:
    source: {format: json, schema: user_id bigint}
"""


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("conf")
    (folder / "env").mkdir(parents=True)
    (folder / "web.yaml").write_text(MINIMAL)
    return folder


def test_the_sales_pipeline_is_loaded() -> None:
    pipeline = load(REPOSITORY / "conf" / "sales.yaml", environ={}).pipeline
    silver, gold = pipeline.silver["sales"], pipeline.gold["sales_by_region_day"]
    assert str(silver.from_) == "bronze.sales"
    assert silver.lookups[0].table == TableRef("silver", "customers")
    assert silver.lookups[0].on == {"customer_id": "customer_id"}
    assert silver.lookups[0].take == {"region": "region"}
    assert silver.lookups[0].how == "left"
    assert list(silver.columns) == ["order_date", "load_time"]
    assert (silver.schema_ or "").endswith("load_time timestamp not null")
    assert gold.group_by == ("region", "order_date")
    assert gold.measures == {"total_quantity": Measure(sql="sum(quantity)")}


def test_defaults_hold_where_nothing_is_set(conf: Path) -> None:
    pipeline = load(conf / "web.yaml", environ={}).pipeline
    roots = (Path(pipeline.storage.root), Path(pipeline.landing.root))
    assert roots == (Path.cwd() / "lake", Path.cwd() / "landing")
    assert pipeline.spark.shuffle_partitions == 2
    assert pipeline.trigger.interval == timedelta(seconds=10)
    source = pipeline.bronze["clicks"].source
    assert (source.max_files_per_trigger, source.max_bytes_per_trigger) == (10_000, 1 << 30)


def test_places_are_absolute(conf: Path, tmp_path: Path) -> None:
    pipeline = load(
        conf / "web.yaml", overrides=["storage.root=file:///data/my%20lake"], environ={}
    ).pipeline
    assert TablePaths(pipeline, TableRef("gold", "g")).data == Path("/data/my lake/gold/g")
    assert pipeline.state_path == Path("/data/my lake/_medallion")
    assert pipeline.landing_path("clicks") == tmp_path.resolve() / "landing" / "clicks"
    with pytest.raises(KeyError):
        pipeline.landing_path("nobody")


def test_a_source_may_have_its_own_folder(conf: Path, tmp_path: Path) -> None:
    loaded = load(conf / "web.yaml", overrides=["bronze.clicks.source.path=in/here"], environ={})
    assert loaded.pipeline.landing_path("clicks") == tmp_path.resolve() / "in" / "here"


def test_each_layer_wins_over_those_before_it(conf: Path) -> None:
    key = "spark.shuffle_partitions"
    path, environ = conf / "web.yaml", {"MEDALLION__SPARK__SHUFFLE_PARTITIONS": "6"}

    def seen(**more: object) -> tuple[int, str]:
        loaded = load(path, **{"environ": {}, **more})  # type: ignore[arg-type]
        return loaded.pipeline.spark.shuffle_partitions, str(loaded.origins[key])

    assert seen() == (2, "default")
    (conf / "base.yaml").write_text("# shared\nspark:\n  shuffle_partitions: 3\n")
    assert seen() == (3, "conf/base.yaml:3")
    path.write_text(MINIMAL + "spark: {shuffle_partitions: 4}\n")
    assert seen() == (4, "conf/web.yaml:5")
    (conf / "env" / "prod.yaml").write_text("spark:\n  shuffle_partitions: 5\n")
    assert seen() == (4, "conf/web.yaml:5")
    assert seen(env="prod") == (5, "conf/env/prod.yaml:2")
    variable = "environment MEDALLION__SPARK__SHUFFLE_PARTITIONS"
    assert seen(env="prod", environ=environ) == (6, variable)
    assert seen(env="prod", environ=environ, overrides=[f"{key}=7", f"{key}=8"]) == (8, "--set")


def test_layers_add_to_one_mapping(conf: Path) -> None:
    (conf / "base.yaml").write_text("spark: {conf: {spark.sql.adaptive.enabled: false}}\n")
    loaded = load(
        conf / "web.yaml",
        overrides=["spark.conf.spark.executor.cores=2", "spark.master=local[2]"],
        environ={"MEDALLION__spark__CONF__SPARK.SQL.ADAPTIVE.ENABLED": "true"},
    )
    assert loaded.pipeline.spark.master == "local[2]"
    assert loaded.pipeline.spark.conf == {
        "spark.sql.adaptive.enabled": "true",
        "spark.executor.cores": "2",
    }


def test_a_variable_finds_a_table_whatever_its_case(conf: Path) -> None:
    (conf / "web.yaml").write_text(MINIMAL.replace("clicks", "webClicks"))
    environ = {"MEDALLION__BRONZE__WEBCLICKS__SOURCE__MAX_BYTES_PER_TRIGGER": "2m"}
    source = load(conf / "web.yaml", environ=environ).pipeline.bronze["webClicks"].source
    assert source.max_bytes_per_trigger == 2 << 20


def test_a_variable_for_one_key_wins_over_one_for_the_mapping(conf: Path) -> None:
    environ = {"MEDALLION__SPARK__MASTER": "local[3]", "MEDALLION__SPARK": "{master: yarn}"}
    assert load(conf / "web.yaml", environ=environ).pipeline.spark.master == "local[3]"


def test_an_override_reaches_into_a_list(conf: Path) -> None:
    loaded = load(
        REPOSITORY / "conf" / "sales.yaml",
        overrides=["silver.sales.lookups.0.how=inner"],
        environ={},
    )
    assert loaded.pipeline.silver["sales"].lookups[0].how == "inner"
    assert str(loaded.origins["silver.sales.lookups.0.how"]) == "--set"


SALES = REPOSITORY / "conf" / "sales.yaml"
# By key of an override: a value, and what the config has then.
AS_TEXT = [
    *("a #1", "a: b", "[x", "{x", "*x", "&x", "!x", "%x", "@x", "`x", "#1", "- x", "? x", "|"),
    *("yes", "1e3", "0x10", "0o17", "010", "1.10", "True", "2026-01-31", ".inf", "'a' = b", ">"),
    *(" a", "a ", "a\tb", '"a" + "b"', "a\nb", "\\n", "ä ☃", "it's", "a, b", "x: [", "a\\"),
]
AS_YAML = [("'a #1'", "a #1"), ('"a\\tb"', "a\tb"), (' "a" ', "a"), ("'it''s'", "it's")]


def overridden(key: str, value: str, by: str) -> Pipeline:
    """The sales pipeline with a value from the command line or from the environment."""
    variable = f"MEDALLION__{key.upper().replace('.', '__')}"
    overrides = [f"{key}={value}"] if by == "--set" else []
    environ = {variable: value} if by == "environment" else {}
    return load(SALES, overrides=overrides, environ=environ).pipeline


@pytest.mark.parametrize("by", ["--set", "environment"])
@pytest.mark.parametrize(("value", "has"), [*((text, text) for text in AS_TEXT), *AS_YAML])
def test_a_key_of_text_takes_a_value_as_it_stands(value: str, has: str, by: str) -> None:
    """Not only where it is a line of YAML; but a whole text in quotes, and null, are YAML."""
    keys = {
        "silver.sales.where": lambda made: made.silver["sales"].where,
        "silver.sales.lookups.0.on.customer_id": lambda made: made.silver["sales"].lookups[0].on,
        "queries.q.sql": lambda made: made.queries["q"].sql,
    }
    if by == "--set":  # a variable's name does not keep its letter case
        keys["bronze.sales.source.options.dateFormat"] = lambda made: (
            made.bronze["sales"].source.options
        )
    for path, of in keys.items():
        found = of(overridden(path, value, by))
        found = next(iter(found.values())) if isinstance(found, dict) else found
        assert found == has, path


@pytest.mark.parametrize("by", ["--set", "environment"])
@pytest.mark.parametrize("name", ["a #1", "yes", "1e3", "*x", "a: b", " a", "a "])
def test_a_folder_is_taken_as_it_stands(tmp_path: Path, name: str, by: str) -> None:
    made = overridden("storage.root", f"{tmp_path}/{name}", by)
    assert made.state_path.parent == tmp_path / name
    made = overridden("bronze.sales.source.path", f"{tmp_path}/{name}", by)
    assert made.landing_paths("sales") == (f"{tmp_path}/{name}",)


@pytest.mark.parametrize(
    ("key", "value", "has"),
    [
        ("bronze.sales.source.path", "[/a, '/b #1']", ("/a", "/b #1")),
        ("bronze.sales.source.path", "/a/[b, c]", ("/a/[b, c]",)),
        ("bronze.sales.source.path", "null", None),
        ("bronze.sales.source.path", "", None),
        ("bronze.sales.source.recursive", "false", False),
        ("bronze.sales.source.max_files_per_trigger", "7 # a few", 7),
        ("bronze.sales.source.max_bytes_per_trigger", "0x10", 16),
        ("bronze.sales.source.max_bytes_per_trigger", "10m", 10 << 20),
        ("bronze.sales.source.options", "{mode: a}", {"mode": "a"}),
        ("bronze.sales.source.add_columns", "[_batch_id]", ("_batch_id",)),
    ],
)
def test_other_keys_take_yaml(key: str, value: str, has: object) -> None:
    if has == {"mode": "a"}:
        with pytest.raises(ConfigError, match=r"options.mode"):  # an option of no such name
            overridden(key, value, "--set")
        return
    source = overridden(key, value, "--set").bronze["sales"].source
    assert getattr(source, key.rpartition(".")[2]) == has


def test_a_number_stays_one_where_text_and_numbers_differ() -> None:
    rule = "silver.sales.expect.r"
    for value, has in (("[1, '1', a#1]", (1, "1", "a#1")), ("[1e3, true]", (1000.0, True))):
        made = load(SALES, overrides=[f"{rule}={{in_set: {{quantity: {value}}}}}"], environ={})
        assert (made.pipeline.silver["sales"].expect["r"].in_set or {})["quantity"] == has
    low = f"{rule}={{between: {{quantity: [a, b]}}}}"
    for value, has in (("1", 1), ("a #1", "a #1"), ("'1'", "1")):
        named = [low, f"{rule}.between.quantity.0={value}"]
        found = load(SALES, overrides=named, environ={}).pipeline.silver["sales"].expect["r"]
        assert found.between == {"quantity": (has, "b")}


def test_blanks_around_the_sign_are_not_of_the_value() -> None:
    made = load(SALES, overrides=["silver.sales.where = a #1"], environ={}).pipeline
    assert made.silver["sales"].where == "a #1"


def test_the_process_environment_is_read_when_none_is_given(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDALLION__STORAGE__ROOT", "./elsewhere")
    assert Path(load(conf / "web.yaml").pipeline.storage.root) == Path.cwd() / "elsewhere"


def test_base_yaml_itself_may_be_the_pipeline(conf: Path) -> None:
    (conf / "base.yaml").write_text(MINIMAL)
    assert load(conf / "base.yaml", environ={}).pipeline.pipeline == "web"
    (conf / "base.yaml").write_text(MINIMAL + "pipeline: twice\n")
    with pytest.raises(ConfigError, match="1 mistake"):
        load(conf / "base.yaml", environ={})


def test_the_model_is_frozen(conf: Path) -> None:
    pipeline = load(conf / "web.yaml", environ={}).pipeline
    with pytest.raises(ValidationError):
        pipeline.storage.root = "/x"


def test_the_model_checks_references_without_the_loader() -> None:
    with pytest.raises(ValidationError) as raised:
        Pipeline.model_validate(
            {"pipeline": "x", "gold": {"g": {"from": "silver.s", "group_by": [], "measures": {}}}}
        )
    places = {error["loc"] for error in raised.value.errors()}
    assert places == {("gold", "g", key) for key in ("from", "group_by", "measures")}


@pytest.mark.parametrize("env", ["prd", "nobody_at_all"])
def test_a_missing_overlay_lists_those_that_are_there(conf: Path, env: str) -> None:
    (conf / "env" / "prod.yaml").write_text("")
    with pytest.raises(ConfigError) as raised:
        load(conf / "web.yaml", env, environ={})
    (problem,) = raised.value.problems
    assert problem.origin.source == f"conf/env/{env}.yaml"
    assert problem.allowed == "in conf/env: prod.yaml"
    assert problem.nearest == ("prod.yaml" if env == "prd" else None)


def test_a_missing_pipeline_lists_those_that_are_there(conf: Path) -> None:
    (conf / "base.yaml").write_text("")
    with pytest.raises(ConfigError) as raised:
        load(conf / "wep.yaml", environ={})
    (problem,) = raised.value.problems
    assert (problem.allowed, problem.nearest) == ("in conf: web.yaml", "web.yaml")
    with pytest.raises(ConfigError, match="no YAML files"):
        load(Path("nowhere/web.yaml"), environ={})


@pytest.mark.parametrize("env", ["../web", "a/b", "", "."])
def test_an_overlay_is_named_by_a_word(conf: Path, env: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(conf / "web.yaml", env, environ={})
    assert [str(problem.origin) for problem in raised.value.problems] == ["--env"]


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"\xff\xfe", "UTF-8"), (b"- a\n", "mapping"), (b"x" * ((1 << 20) + 1), "1 MiB")],
)
def test_a_file_that_is_no_config_is_refused(conf: Path, content: bytes, what: str) -> None:
    (conf / "web.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=what):
        load(conf / "web.yaml", environ={})


def test_a_folder_in_place_of_a_file_is_refused(conf: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(conf, environ={})


@pytest.mark.parametrize(
    ("text", "overrides", "known"),
    [
        ("pipeline: p\nstorage: {root: lake}\ngold: 3\n", [], ("p", "lake")),
        ("pipeline: [p]\nstorage: {root: [lake]}\n", [], ("", None)),
        ("pipeline: p\n", [], ("p", None)),
        ("pipeline: p\nstorage: {root: '${env:NONE}'}\n", [], ("p", None)),
        ("storage: [\n", ["storage.root=other"], ("", "other")),
        ("- 1\n", ["=x", "pipeline=q", "storage.root=other"], ("q", "other")),
        ("storage: {root: lake}\nspark: {conf: 3}\n", ["storage=3"], ("", None)),
    ],
)
def test_what_is_known_of_a_config_with_mistakes(
    text: str,
    overrides: list[str],
    known: tuple[str, str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "p.yaml"
    file.write_text(text)
    found = outline(file, None, overrides, {})
    name, root = known
    assert (found.pipeline, found.root) == (name, tmp_path / root if root else None)
    # The default counts where there is a lake already.
    (tmp_path / "lake" / "_medallion").mkdir(parents=True)
    if text == "pipeline: p\n":
        assert outline(file, None, overrides, {}).root == tmp_path / "lake"
