"""Placeholders are resolved, and what they stand for is never shown."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medallion_jobs.cli import app as medallion
from medallion_jobs.cli.config import app
from medallion_jobs.config import ConfigError, Loaded, Origin, load
from medallion_jobs.config.secrecy import is_secret_key

CANARY = "canary-hunter2"
KEY = "spark.hadoop.fs.s3a.secret.key"
CONFIG = f"""\
pipeline: web
spark:
  conf:
    {KEY}: ${{env:S3_SECRET}}
bronze:
  clicks: {{source: {{format: json, schema: a int}}}}
silver:
  clicks: {{from: bronze.clicks, schema: a int}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "web.yaml"
    path.write_text(CONFIG)
    return path


def mistakes(file: Path, *overrides: str, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        load(file, overrides=overrides, environ={"S3_SECRET": CANARY, **environ})
    return raised.value


def everything_shown(loaded: Loaded) -> str:
    pipeline = loaded.pipeline
    return "".join(
        f"{view!r}{view}" for view in (loaded, pipeline, pipeline.spark, pipeline.spark.conf)
    )


def test_a_variable_is_resolved_and_its_value_not_shown(file: Path) -> None:
    loaded = load(file, environ={"S3_SECRET": CANARY})
    assert loaded.pipeline.spark.conf[KEY] == CANARY
    assert CANARY not in everything_shown(loaded)
    assert "***" in repr(loaded.pipeline)


def test_a_file_is_resolved_without_its_last_line_break(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(CANARY + "\n")
    loaded = load(file, overrides=[f"spark.conf.{KEY}=${{file:{secret}}}"], environ={})
    assert loaded.pipeline.spark.conf[KEY] == CANARY
    assert CANARY not in everything_shown(loaded)


@pytest.mark.parametrize(
    "key",
    [
        "storage.root",
        "landing.root",
        "bronze.clicks.source.path",
        "bronze.clicks.source.schema",
        "silver.clicks.schema",
        "silver.clicks.columns.x",
        "spark.conf.spark.sql.warehouse.dir",
    ],
)
def test_a_placeholder_may_be_a_part_of_any_text(file: Path, key: str) -> None:
    environ = {"S3_SECRET": "s", "PART": CANARY}
    loaded = load(file, overrides=[f"{key}=a/${{env:PART}}/b"], environ=environ)
    assert CANARY in loaded.pipeline.model_dump_json()
    assert CANARY not in everything_shown(loaded)


def test_placeholders_are_resolved_before_types_are_judged(file: Path) -> None:
    environ = {"S3_SECRET": "s", "N": "8", "SIZE": "5m"}
    overrides = [
        "spark.shuffle_partitions=${env:N}",
        "bronze.clicks.source.max_bytes_per_trigger=${env:SIZE}",
    ]
    pipeline = load(file, overrides=overrides, environ=environ).pipeline
    assert pipeline.spark.shuffle_partitions == 8
    assert pipeline.bronze["clicks"].source.max_bytes_per_trigger == 5 << 20


def test_what_a_placeholder_stands_for_is_not_resolved_again(file: Path) -> None:
    environ = {"S3_SECRET": "${env:OTHER}", "OTHER": "x"}
    assert load(file, environ=environ).pipeline.spark.conf[KEY] == "${env:OTHER}"


def test_a_variable_that_is_not_set_is_told_at_its_line(file: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(file, environ={"S3_SECRETS": CANARY})
    (problem,) = raised.value.problems
    assert (problem.origin.line, problem.path) == (4, f"spark.conf.{KEY}")
    assert problem.value == "${env:S3_SECRET}"
    assert "S3_SECRET is not set; did you mean `S3_SECRETS`" in problem.what
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "what"),
    [(None, "cannot be read"), (b"\xff", "UTF-8"), (b"x" * 70_000, "64 KiB")],
)
def test_a_secrets_file_that_is_none(
    file: Path, tmp_path: Path, content: bytes | None, what: str
) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    (problem,) = mistakes(file, f"spark.conf.{KEY}=${{file:{secret}}}").problems
    assert what in problem.what


def test_a_placeholder_with_no_value_is_not_judged_as_a_value(file: Path) -> None:
    (problem,) = mistakes(file, "spark.shuffle_partitions=${env:NOBODY}").problems
    assert "NOBODY is not set" in problem.what


@pytest.mark.parametrize("text", ["${NAME}", "${ENV:NAME}", "a${env:}", "${env:S3_SECRET"])
def test_a_misspelt_placeholder_is_no_text(file: Path, text: str) -> None:
    (problem,) = mistakes(file, f"storage.root='{text}'").problems
    assert problem.what == "unknown placeholder"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True),
        ("Passwd", True),
        (KEY, True),
        ("spark.hadoop.fs.s3a.access.key", True),
        ("fs.azure.account.key.x.net", True),
        ("fs.azure.sas.token", True),
        ("my.sas", True),
        ("API_KEY", True),
        ("apikey", True),
        ("private.key", True),
        ("credentials", True),
        ("spark.hadoop.fs.s3a.session.token", True),
        ("spark.hadoop.fs.s3a.aws.credentials.provider", False),
        ("spark.kubernetes.authenticate.driver.oauthTokenFile", False),
        ("spark.kubernetes.driver.secrets.db", False),
        ("disaster_recovery", False),
        ("group_by", False),
        ("password_resets_path", False),
        ("spark.sql.shuffle.partitions", False),
    ],
)
def test_secrets_are_known_by_the_name_of_their_key(name: str, secret: bool) -> None:
    assert is_secret_key(("spark", "conf", name)) is secret


def test_a_table_may_be_called_tokens(file: Path) -> None:
    table = "bronze.tokens={source: {format: json, schema: a int}}"
    loaded = load(file, overrides=[table], environ={"S3_SECRET": ""})
    assert loaded.origins["bronze.tokens.source.schema"] == Origin("--set")


def test_a_column_may_be_called_token(file: Path) -> None:
    loaded = load(
        file, overrides=["silver.clicks.columns.token=upper(a)"], environ={"S3_SECRET": ""}
    )
    assert loaded.pipeline.silver["clicks"].columns == {"token": "upper(a)"}


@pytest.mark.parametrize(
    "override",
    [
        f"spark.conf.{KEY}={CANARY}",
        f"spark.conf.{KEY}={CANARY}${{env:S3_SECRET}}",
        f"spark.conf.{KEY}=[{CANARY}]",
        f"spark.conf.{KEY}={{x: {CANARY}}}",
        f"spark.conf.{KEY}=*{CANARY}",
        f"spark.conf.{KEY}=!{CANARY}",
        f"spark.conf.{KEY}=!!{CANARY} x",
        f"spark.conf.{KEY}=[{CANARY}",
        f"spark.conf.{KEY}: {CANARY}",
        f"storage.password={CANARY}",
        f"landing={{connection: {{api_key: {CANARY}, rest: 1}}}}",
        # Values that are placeholders, and wrong: each kind of finding must keep them.
        "storage.root=gs://${env:S3_SECRET}",
        "storage.rot=${env:S3_SECRET}",
        "spark.master=${env:S3_SECRET}",
        "spark.shuffle_partitions=${env:S3_SECRET}",
        "spark.conf.spark.jars=${env:S3_SECRET}",
        "spark.conf.spark.sql.ansi.enabled=${env:S3_SECRET}",
        "trigger.interval=${env:S3_SECRET}",
        "pipeline=${env:S3_SECRET}",
        "bronze.clicks.source.format=${env:S3_SECRET}",
        "silver.clicks.from=bronze.${env:S3_SECRET}",
        "silver.clicks.lookups=${env:S3_SECRET}",
    ],
)
def test_no_mistake_shows_a_secret(file: Path, override: str) -> None:
    error = mistakes(file, override)
    assert error.problems
    shown = f"{error}{error!r}{error.problems}{error.__cause__}"
    assert CANARY not in shown


def test_a_secret_in_a_file_that_is_no_yaml_is_not_shown(file: Path) -> None:
    for line in (f"password: *{CANARY}", f"password: '{CANARY}", f"password: {CANARY}: x"):
        file.write_text(f"{CONFIG}{line}\n")
        assert CANARY not in str(mistakes(file))


def test_no_mistake_carries_the_validators_own(file: Path) -> None:
    error = mistakes(file, "spark.master=${env:S3_SECRET}")
    assert error.__suppress_context__


@pytest.mark.parametrize("flags", [[], ["--origin"], ["--json"], ["--json", "--origin"]])
def test_show_prints_the_placeholder(file: Path, flags: list[str]) -> None:
    result = CliRunner().invoke(
        app, ["show", "--config", str(file), *flags], env={"S3_SECRET": CANARY}
    )
    assert result.exit_code == 0
    assert "${env:S3_SECRET}" in result.output
    assert CANARY not in result.output


def test_show_writes_json_that_can_be_read(file: Path) -> None:
    result = CliRunner().invoke(
        app, ["show", "--config", str(file), "--json"], env={"S3_SECRET": CANARY}
    )
    assert json.loads(result.stdout)[f"spark.conf.{KEY}"] == "${env:S3_SECRET}"


SINK = """\
gold:
  totals:
    from: silver.clicks
    group_by: [a]
    measures: {n: count(*)}
    sinks:
      - jdbc:
          url: ${env:DB_URL}
          user: ${env:DB_USER}
          password: ${env:DB_PASSWORD}
          options: {sslrootcert: "${file:/no/such/file}"}
"""


@pytest.fixture
def with_sink(file: Path) -> Path:
    file.write_text(file.read_text().replace("silver:", SINK + "silver:"))
    return file


def test_a_sinks_login_is_needed_by_a_load_only(with_sink: Path) -> None:
    environ = {"S3_SECRET": "s"}
    loaded = load(with_sink, environ=environ, loads_sinks=False)
    assert {problem.path.rpartition("jdbc.")[2] for problem in loaded.unresolved} == {
        "url",
        "user",
        "password",
        "options.sslrootcert",
    }
    with pytest.raises(ConfigError) as raised:
        load(with_sink, environ=environ)
    assert len(raised.value.problems) == 4
    # Whatever has a value is resolved, and everything else is checked as ever.
    named = {"DB_URL": "jdbc:postgresql://h/db", "DB_PASSWORD": CANARY}
    loaded = load(with_sink, environ={**environ, **named}, loads_sinks=False)
    (sink,) = loaded.pipeline.gold["totals"].sinks
    assert (sink.jdbc.url, sink.jdbc.password) == (named["DB_URL"], CANARY)
    assert CANARY not in everything_shown(loaded)
    for override in ("gold.totals.sinks.0.jdbc.table=${env:TABLE}", "storage.root=${env:ROOT}"):
        with pytest.raises(ConfigError, match="is not set"):
            load(with_sink, overrides=[override], environ=environ, loads_sinks=False)


@pytest.mark.parametrize(
    ("words", "needs_it"),
    [
        (("files",), False),
        (("files", "retry"), False),
        (("status",), False),
        (("quality",), False),
        (("quarantine", "list"), False),
        (("query", "SELECT 1"), False),
        (("graph",), False),
        (("config", "show"), False),
        (("checkpoint", "list"), False),
        (("stop",), False),
        (("load",), True),
        (("run",), True),
        (("run", "gold"), True),
    ],
)
def test_only_commands_that_load_need_a_sinks_login(
    with_sink: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], needs_it: bool
) -> None:
    monkeypatch.setenv("S3_SECRET", CANARY)
    root = with_sink.parent / "lake"
    options = ["--config", str(with_sink), "--set", f"storage.root={root}"]
    result = CliRunner().invoke(medallion, [*words, *options])
    if needs_it:
        assert isinstance(result.exception, ConfigError)
        assert "DB_PASSWORD is not set" in str(result.exception)
    else:
        assert not isinstance(result.exception, ConfigError), result.exception
        assert CANARY not in result.output
