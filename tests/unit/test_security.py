"""What guards a session, a config and all that is said; without a JVM."""

from __future__ import annotations

import csv
import json
import logging
import re
from pathlib import Path

import pyarrow as pa
import pytest

from medallion_jobs import masking
from medallion_jobs.config import ConfigError, load
from medallion_jobs.config.secrecy import is_secret
from medallion_jobs.engine import security
from medallion_jobs.errors import DataError, TransientError, UsageError
from medallion_jobs.lake.tables import sql
from medallion_jobs.observe.events import Note, as_json, as_line
from medallion_jobs.report.formats import WRITERS_OF_QUARANTINE

CLUSTER = "spark://127.0.0.1:7077"
LOGINS = {"spark.authenticate": "true", "spark.network.crypto.enabled": "true"}

ODD = (
    *("'", "''", '"', '""', "`", "``", "\\", "\\'", "\\\\'", "a'b`c\"d", "'; DROP TABLE t; --"),
    *("`; DROP TABLE t; --", '"; DROP TABLE t; --', ";--", "/* */", "--", "*/", "')", "`)", "%s"),
    *("${env:HOME}", "${HOME}", "$(id)", "`id`", "\n", "\r\n--", "\t", "é\u202e", " ", "{0}", "?"),
)


def test_there_are_thirty_odd_names() -> None:
    assert len(set(ODD)) >= 30


@pytest.mark.parametrize("name", ODD)
def test_a_name_or_a_text_cannot_break_out_of_sql(name: str) -> None:
    assert _read(sql.column(name), "`") == name.replace("`", "``")
    assert re.fullmatch(r"`(?:[^`]|``)*`", sql.column(name))
    assert sql.table(Path("/lake") / name.replace("/", "")).startswith("delta.`/lake/")
    inside = _read(sql.text(name), "'")
    assert re.sub(r"\\(.)", r"\1", inside, flags=re.DOTALL) == name
    assert re.fullmatch(r"'(?:[^'\\]|\\.)*'", sql.text(name), re.DOTALL)


def _read(quoted: str, mark: str) -> str:
    assert quoted[0] == quoted[-1] == mark
    return quoted[1:-1]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("key", ["pipeline", "bronze.{}.source", "queries", "spark.conf.{}"])
def test_an_odd_name_is_none_of_a_table_nor_of_a_setting(
    tmp_path: Path, name: str, key: str
) -> None:
    odd = json.dumps(name)
    written = {
        "pipeline": f"pipeline: {odd}\n",
        "bronze.{}.source": f"pipeline: x\nbronze: {{{odd}: {{source: {{format: json}}}}}}\n",
        "queries": f"pipeline: x\nqueries: {{{odd}: SELECT 1}}\n",
        "spark.conf.{}": f"pipeline: x\nspark: {{conf: {{{odd}: x}}}}\n",
    }
    file = tmp_path / "x.yaml"
    file.write_text(written[key], encoding="utf-8")
    with pytest.raises(ConfigError):
        load(file, environ={"HOME": "/home/x"})


@pytest.mark.parametrize(
    "package",
    ["os", "subprocess", "builtins", "__main__", "medallion_jobs", "pyspark", "importlib"],
)
def test_a_config_cannot_name_what_is_no_package_of_transforms(
    tmp_path: Path, package: str
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"pipeline: x\npython_packages: [mine, {package}]\n")
    with pytest.raises(ConfigError, match="not your package") as raised:
        load(file, environ={})
    assert [problem.path for problem in raised.value.problems] == ["python_packages.1"]


@pytest.mark.parametrize(
    "name",
    [
        "os",
        "os:",
        ":system",
        "os.system",
        "..os:system",
        "a:b.c",
        "a:b()",
        "a:__class__.x",
        "a b:c",
    ],
)
def test_a_transform_is_a_name_and_no_expression(tmp_path: Path, name: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "pipeline: x\npython_packages: [a]\nbronze: {t: {source: {format: json}}}\n"
        f"silver: {{t: {{from: bronze.t, transform: '{name}'}}}}\n"
    )
    with pytest.raises(ConfigError, match=r"package\.module:function"):
        load(file, environ={})


# Logins between machines


@pytest.mark.parametrize("master", ["local", "local[2]", "local[*]", "local-cluster[2,1,1024]"])
def test_in_one_process_nothing_logs_in(master: str) -> None:
    assert not LOGINS.keys() & security.defaults(master).keys()
    assert security.secret(security.defaults(master), master) == {}


@pytest.mark.parametrize("master", [CLUSTER, "yarn", "k8s://https://127.0.0.1:6443"])
def test_between_machines_spark_logs_in_and_encrypts(master: str) -> None:
    assert security.defaults(master).items() >= LOGINS.items()
    assert security.defaults(master)["spark.network.crypto.saslFallback"] == "false"


def test_a_clusters_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SPARK_AUTH_SECRET", "from-environment")
    assert security.secret(LOGINS, CLUSTER) == {"spark.authenticate.secret": "from-environment"}
    given = {**LOGINS, "spark.authenticate.secret": "given"}
    assert security.secret(given, CLUSTER) == {}
    for master in ("yarn", "k8s://https://127.0.0.1:6443"):
        assert security.secret(LOGINS, master) == {}  # they make one


def test_a_cluster_without_a_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_SPARK_AUTH_SECRET", raising=False)
    with pytest.raises(UsageError, match="no secret to log in") as raised:
        security.secret(LOGINS, CLUSTER)
    assert "_SPARK_AUTH_SECRET" in raised.value.next_step
    assert "spark.authenticate=false" in raised.value.next_step
    assert security.secret({"spark.authenticate": "false"}, CLUSTER) == {}


@pytest.mark.parametrize(
    "said",
    ["All masters are unresponsive! Giving up.", "Cannot call methods on a stopped SparkContext"],
)
def test_a_cluster_that_does_not_answer_is_told_with_what_it_may_mean(said: str) -> None:
    with pytest.raises(TransientError, match="another secret"), security.answered(CLUSTER):
        raise RuntimeError(said)
    for master, other in (("yarn", said), (CLUSTER, "no memory")):
        with pytest.raises(RuntimeError), security.answered(master):
            raise RuntimeError(other)


# Secrets out of sight

SECRET_KEYS = (
    *("spark.hadoop.fs.s3a.secret.key", "spark.hadoop.fs.s3a.access.key"),
    *("spark.hadoop.fs.s3a.session.token", "spark.hadoop.fs.s3a.encryption.key"),
    *("spark.hadoop.fs.azure.account.key.x.dfs.core.windows.net", "fs.azure.sas.c.a"),
    *("spark.hadoop.google.private.key", "db.passwd", "jdbc.password", "api_key", "apikey"),
    *("my.credentials", "connectionString", "connection_string", "slack.webhook.url"),
    *("spark.authenticate.secret", "spark.ssl.keyStorePassword"),
)
NO_SECRET_KEYS = (
    *("spark.master", "spark.app.name", "spark.sql.shuffle.partitions", "spark.driver.host"),
    *("spark.sql.warehouse.dir", "spark.hadoop.fs.s3a.endpoint", "spark.executor.memory"),
    *("spark.hadoop.fs.s3a.aws.credentials.provider", "spark.sql.session.timeZone", "group.by.key"),
)


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_what_spark_is_to_mask_by_its_key(key: str) -> None:
    assert re.search(security.REDACTED, key)


@pytest.mark.parametrize("key", NO_SECRET_KEYS)
def test_what_spark_is_to_show(key: str) -> None:
    assert not re.search(security.REDACTED, key)


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_what_spark_masks_the_config_takes_as_a_placeholder_only(key: str) -> None:
    assert is_secret(key, "x")


def test_a_known_secret_is_in_no_error_and_in_no_event() -> None:
    secret = "canary /\"é'+hunter2"
    masking.remember(secret)
    error = DataError(
        f"failed with {secret}", code="test", untouched=secret, next_step=f"x {secret} y"
    )
    written = [
        *(f"{error}", repr(error), error.what, error.untouched, error.next_step),
        *(str(error.args), as_json(Note("t", f"said {secret}", {"why": secret}))),
        *(as_line(Note("t", f"said {secret}")), masking.masked("canary%20/%22%C3%A9%27%2Bhunter2")),
    ]
    assert [text for text in written if "hunter2" in text] == []
    assert str(error).count("***") == 3


def test_a_failure_is_told_without_the_secrets_of_its_causes() -> None:
    masking.remember("canary-of-a-cause")
    harmless, harmful = ValueError("no"), DataError("it failed", code="test")
    harmful.__cause__ = KeyError("canary-of-a-cause")
    assert masking.without_secrets(harmless) is harmless
    told = str(masking.without_secrets(harmful))
    assert "KeyError: '***'" in told
    assert "it failed" in told


def test_a_short_secret_does_not_blot_out_what_is_said() -> None:
    masking.remember("a")
    assert str(DataError("a table was not read", code="test")) == "a table was not read"


@pytest.mark.parametrize(
    ("said", "masked"),
    [
        ("https://me:hunter2@host/x", "https://me:***@host/x"),
        ("jdbc:postgresql://h/d?user=a&password=hunter2&b=c", "password=***&b=c"),
    ],
)
def test_a_password_in_a_url_is_masked_whoever_it_belongs_to(said: str, masked: str) -> None:
    assert masked in str(DataError(f"no answer from {said}", code="test"))


def test_a_secret_of_a_config_is_masked_from_its_loading_on(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    key = "spark.hadoop.fs.s3a.secret.key"
    file.write_text(f"pipeline: x\nspark: {{conf: {{{key}: '${{env:S3}}'}}}}\n")
    load(file, environ={"S3": "canary-of-a-config"})
    assert str(DataError("403 for canary-of-a-config", code="test")) == "403 for ***"


def test_the_bridge_to_the_jvm_does_not_log_what_it_carries() -> None:
    security.quiet_bridge()
    assert not logging.getLogger("py4j.clientserver").isEnabledFor(logging.DEBUG)


# What goes to a spreadsheet

FORMULAS = (
    *(
        "=1+1",
        "+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "  +1",
        "\u00a0=1",
        "\u3000@x",
    ),
    *("=cmd|' /C calc'!A0", '=HYPERLINK("http://x")', "-2+3+cmd|' /C calc'!A0", "\t", "\n", "\r\n"),
    *("\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x", " \t-1", "=", "@", "+"),
)


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_an_export_is_a_formula(tmp_path: Path, text: str) -> None:
    rows = pa.table({"row": [json.dumps({"a": text, text: "b"})]})
    file = tmp_path / "rows.csv"
    with file.open("wb") as out:
        WRITERS_OF_QUARANTINE["csv"](rows.schema, rows.to_batches(), out)
    with file.open(encoding="utf-8", newline="") as lines:
        read = list(csv.reader(lines))
    assert read == [["a", f"'{text}"], [f"'{text}", "b"]]


def test_a_text_that_is_no_formula_is_as_it_was(tmp_path: Path) -> None:
    rows = pa.table({"row": [json.dumps({"a": "x=1", "b": "  y", "c": -1.5})]})
    file = tmp_path / "rows.csv"
    with file.open("wb") as out:
        WRITERS_OF_QUARANTINE["csv"](rows.schema, rows.to_batches(), out)
    assert file.read_text() == '"a","b","c"\n"x=1","  y",-1.5\n'


@pytest.mark.parametrize("said", ["password=abc", 'it said "password=abc"', "//u:pw@h/", "[{pass"])
def test_a_line_with_a_password_stays_json(said: str) -> None:
    found = json.loads(as_json(Note("t", said)))
    assert found["what"] == masking.masked(said)
    assert "abc" not in str(found)
