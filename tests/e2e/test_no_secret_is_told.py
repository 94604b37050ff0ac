"""Secrets are planted wherever a config takes one, and searched for in all that is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.lake import ROOT
from support.own import OwnLake
from support.processes import PATIENCE, SHORT_LIVED
from typer.testing import CliRunner

from medallion_jobs.cli import app

NAMES = (
    *("S3_SECRET", "S3_ACCESS", "S3_TOKEN", "S3_ENCRYPTION", "PROXY", "CLUSTER", "API_KEY"),
    *("CONNECTION", "SAS", "WEBHOOK", "JDBC", "JDBC_KEY", "URL"),
)
# What is searched for, by the variable that holds it; what is around it is quoted here and there.
STEMS = {f"CANARY_{name}": f"c4nary{number:02}x" for number, name in enumerate(NAMES)}
PLANTED = {name: f"{stem}/+= '$" for name, stem in STEMS.items()}
PLANTED["CANARY_URL"] = f"https://me:{STEMS['CANARY_URL']}@127.0.0.1:1/"
CONFIG = """\
pipeline: canaries
python_packages: [leaky]
spark:
  master: local[2]
  shuffle_partitions: 1
  conf:
    spark.hadoop.fs.s3a.secret.key: ${env:CANARY_S3_SECRET}
    spark.hadoop.fs.s3a.access.key: ${env:CANARY_S3_ACCESS}
    spark.hadoop.fs.s3a.session.token: ${env:CANARY_S3_TOKEN}
    spark.hadoop.fs.s3a.encryption.key: ${env:CANARY_S3_ENCRYPTION}
    spark.hadoop.fs.s3a.proxy.password: ${env:CANARY_PROXY}
    spark.hadoop.fs.s3a.endpoint: ${env:CANARY_URL}
    spark.authenticate.secret: ${env:CANARY_CLUSTER}
    spark.sql.own.api_key: ${env:CANARY_API_KEY}
    spark.sql.own.connectionString: ${env:CANARY_CONNECTION}
    spark.sql.own.sas: ${env:CANARY_SAS}
    spark.sql.own.webhook: ${env:CANARY_WEBHOOK}
bronze:
  sales: {source: {format: json, schema: "region string, n int"}}
silver:
  sales: {from: bronze.sales, schema: "region string, n int"}
gold:
  totals:
    from: silver.sales
    group_by: [region]
    measures: {n: sum(n)}
    sinks:
      - jdbc:
          url: jdbc:postgresql://127.0.0.1:1/nowhere
          user: loader
          password: ${env:CANARY_JDBC}
          options: {sslpassword: "${env:CANARY_JDBC_KEY}"}
          attempts: 1
"""
LEAKY = """\
import os

def tell(rows):
    raise ValueError(f"cannot log in with {os.environ['CANARY_JDBC']}")
"""
BROKEN = '  leaking: {from: bronze.sales, transform: "leaky.tells:tell", schema: "n int"}\ngold:\n'
COMMANDS = (
    *(("config", "show"), ("config", "show", "--origin"), ("config", "show", "--json")),
    *(("status", "--json"), ("files", "--json"), ("checkpoint", "list", "--json")),
    *(("quarantine", "list", "--json"), ("query", "FROM metrics.batches", "--json")),
    ("graph", "--out", "{folder}/graph.html"),
)


@pytest.mark.parametrize("level", ["info", pytest.param("debug", marks=pytest.mark.slow)])
def test_a_planted_secret_is_nowhere_in_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    for name, secret in PLANTED.items():
        monkeypatch.setenv(name, secret)
    told = tmp_path / "told"
    (told / "events").mkdir(parents=True)
    lake = OwnLake.of(tmp_path, _at(tmp_path, CONFIG))
    lake.land("sales", "good.json", {"region": "North", "n": 1})
    lake.drop_bytes("../sales/bad.json", b'{"region": 1}\nnot JSON\n')
    second = tmp_path / "second.yaml"
    second.write_text(_at(tmp_path, CONFIG).replace("gold:\n", BROKEN))
    (tmp_path / "leaky").mkdir()
    (tmp_path / "leaky" / "tells.py").write_text(LEAKY)

    _run(second, told, level)

    for at, command in enumerate(COMMANDS):
        words = [word.format(folder=told) for word in command]
        done = CliRunner().invoke(app, [*words, "--config", str(lake.config_file)])
        assert done.exit_code == 0, done.output
        (told / f"command-{at}").write_bytes(done.stdout_bytes + done.stderr_bytes)

    written = [f for top in (told, lake.storage) for f in top.rglob("*") if f.is_file()]
    assert [f.name for f in written if f.suffix == ".json" and "_delta_log" in f.parts]
    found = {
        (name, str(file.relative_to(tmp_path)))
        for file in written
        for name, stem in STEMS.items()
        if stem.encode() in file.read_bytes()
    }
    assert found == set()
    # That the search would have found them where they are masked, and where a leak was tried.
    everything = b"".join(file.read_bytes() for file in told.rglob("*") if file.is_file())
    for seen in (
        *(b"spark.hadoop.fs.s3a.secret.key", b"spark.sql.own.webhook"),
        *(b"cannot log in with ***", b"no answer from https://me:***@"),
    ):
        assert seen in everything
    assert b"spark.authenticate.secret" not in (told / "command-line").read_bytes()
    # Its UI was on.
    sockets = (told / "sockets").read_text().splitlines()
    assert len(sockets) >= 3
    assert [one for one in sockets if not one.startswith(("127.", "::1:"))] == []


def _at(folder: Path, config: str) -> str:
    roots = f"storage: {{root: {folder}/lake}}\nlanding: {{root: {folder}/landing}}\n"
    return config.replace("spark:\n", f"{roots}spark:\n", 1)


def _run(second: Path, told: Path, level: str) -> None:
    settings = {
        "spark.ui.enabled": "true",
        "spark.ui.port": "0",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": str(told / "events"),
        "spark.logConf": "true",
    }
    flags = " ".join(f"--conf {key}={value}" for key, value in settings.items())
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT), str(second.parent))),
        "PYSPARK_SUBMIT_ARGS": f"{flags} pyspark-shell",
        "JDK_JAVA_OPTIONS": SHORT_LIVED,
        "LOG_LEVEL": level,
    }
    first = second.with_name("own.yaml")
    with (told / "said").open("wb") as said:
        done = subprocess.run(
            [sys.executable, "-m", "support.says_all", str(first), str(second), str(told)],
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0, (told / "said").read_text(errors="replace")[-5000:]
