"""docker-compose.yml: its schema, and the rules that each of its services keeps."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from cdc_lab import shop
from cdc_lab.connect import written
from cdc_lab.postgres import Postgres
from support.image import COMPOSE, compose, in_order, stages
from support.lake import ROOT

from medallion_jobs.cli import app
from medallion_jobs.config import load

EXAMPLE = ROOT / ".env.example"
MAKE_ENV = ROOT / "deploy" / "docker" / "make-env"
SECRETS = ("SPARK_AUTH_SECRET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
# Handed on as it is, set or not: only one profile needs it.
HANDED_ON = "POSTGRES_PASSWORD"
# Images of others, and who runs in them.
OTHERS = {
    "store": "1000:1000",
    "postgres": "999:999",
    "kafka": "1000:1000",
    "connect": "1001:1001",
    "connector": "1001:1001",
}
VOLUMES = {
    "store": {"store:/data"},
    "postgres": {
        "postgres:/var/lib/postgresql",
        "./scripts/cdc_lab/shop.sql:/docker-entrypoint-initdb.d/shop.sql:ro",
    },
    "kafka": {"kafka:/var/lib/kafka/data"},
    "connect": set(),
    "connector": {"./deploy/docker/cdc:/cdc:ro"},
}
FILLED = {name: f"a-value-of-{name}" for name in SECRETS}

told = compose(FILLED)
services: dict[str, Any] = told["services"]
ours = {name: one for name, one in services.items() if "build" in one}
every = pytest.mark.parametrize("name", services)
of_ours = pytest.mark.parametrize("name", ours)


def test_it_is_of_the_compose_schema() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    line = [str(checker), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_there_is_a_service_for_each_part() -> None:
    assert set(in_order(services)) == {
        "spark-master",
        "spark-worker-1",
        "spark-worker-2",
        "seed",
        "generator",
        "bronze",
        "silver",
        "gold",
    }
    assert set(in_order(services, "s3")) - set(in_order(services)) == {"store", "bucket"}
    assert set(in_order(services, "local")) - set(in_order(services)) == {"local"}
    cdc = [name for name in in_order(services, "cdc") if name not in in_order(services)]
    assert set(cdc) == {"postgres", "kafka", "connect", "connector"}
    assert cdc[-2:] == ["connect", "connector"]


@pytest.mark.parametrize("name", SECRETS)
def test_without_a_secret_nothing_is_started(name: str) -> None:
    for value in ({}, {name: ""}):
        with pytest.raises(KeyError, match=rf"{name} is missing a value.*make-env"):
            compose({key: text for key, text in FILLED.items() if key != name} | value)


def test_no_secret_has_a_default_or_is_written_out() -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    used = re.findall(r"\$\{(\w*(?:SECRET|PASSWORD|KEY|TOKEN)\w*)([^}]*)\}", text)
    assert {name for name, _ in used} == set(SECRETS)
    assert all(rest.startswith(":?") for _, rest in used)
    for one in services.values():
        for key, value in one["environment"].items():
            if re.search("SECRET|PASSWORD|KEY|TOKEN", key):
                assert value == FILLED.get(key)


@every
def test_only_this_machine_reaches_a_port(name: str) -> None:
    for port in services[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    assert not {"network_mode", "expose"} & services[name].keys()


def test_what_is_published_is_a_page_and_the_store() -> None:
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert published == {
        "spark-master": ["127.0.0.1:8080:8080"],
        "store": ["127.0.0.1:8333:8333"],
        "postgres": ["127.0.0.1:5432:5432"],
        "kafka": ["127.0.0.1:9094:9094"],
        "connect": ["127.0.0.1:8083:8083"],
        "connector": [],
    }


@every
def test_a_service_can_do_no_more_than_it_has_to(name: str) -> None:
    one = services[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"\d+[mg]", one["mem_limit"])
    assert 0 < one["pids_limit"] <= 1024
    assert one["user"] == OTHERS.get(name, "10001:10001")
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "userns_mode"} & one.keys()
    assert one["restart"] in {"unless-stopped", "on-failure"}
    assert one["logging"]["options"].keys() == {"max-size", "max-file"}


@every
def test_only_volumes_by_name_are_written(name: str) -> None:
    allowed = VOLUMES.get(name, {"lake:/lake", "landing:/landing"})
    mounted = {*services[name].get("volumes", [])}
    assert mounted == allowed
    for folder in (mount.split(":") for mount in mounted if mount.startswith("./")):
        assert (ROOT / folder[0]).exists()
        assert folder[-1] == "ro"
    for mount in services[name]["tmpfs"]:
        assert mount.startswith("/tmp:") or name in OTHERS
        assert "size=" in mount


@every
def test_what_goes_on_says_how_it_is(name: str) -> None:
    check = services[name]["healthcheck"]
    ends = name in {"seed", "generator", "bucket", "connector"}
    assert check.get("disable", False) == ends
    if not ends:
        assert check["test"][0] == "CMD"


def test_what_is_waited_for_can_be_met() -> None:
    for one in services.values():
        for other, how in one.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"]
            if how["condition"] == "service_completed_successfully":
                assert services[other]["restart"] == "on-failure"


@of_ours
def test_a_command_is_a_word_of_the_entry_script_or_of_medallion(name: str) -> None:
    first, *options = ours[name]["command"]
    script = (ROOT / "deploy" / "docker" / "bin" / "entrypoint").read_text(encoding="utf-8")
    roles = {
        word.strip()
        for words in re.findall(r"^  ([a-z| ]+)\)$", script.split("role=")[1], re.MULTILINE)
        for word in words.split("|")
    }
    assert {"master", "worker", "submit", "bucket", "driver", "executor"} <= roles
    if first in roles:
        return
    command: Any = typer.main.get_command(app)
    known = {flag for option in command.commands[first].params for flag in option.opts}
    used = {word.partition("=")[0] for word in options if word.startswith("--")}
    assert used <= known


@of_ours
def test_a_health_check_is_a_script_of_the_image(name: str) -> None:
    test = ours[name]["healthcheck"].get("test")
    if test:
        assert (ROOT / "deploy" / "docker" / "bin" / test[1]).exists()


@of_ours
def test_what_the_environment_says_is_config(name: str) -> None:
    environment = {**stages()[-1].env, **ours[name]["environment"]}
    pipeline = load(ROOT / "conf" / "sales.yaml", environ=environment).pipeline
    assert str(pipeline.storage.root) == "/lake"
    assert str(pipeline.landing.root) == "/landing"


def test_the_connector_is_the_one_of_the_lab(tmp_path: Path) -> None:
    """But for where the database is, and what only a machine of one's own needs."""
    script = (ROOT / "deploy" / "docker" / "cdc" / "connector").read_text("utf-8")
    shown = json.loads(script.partition("<<CONFIG\n")[2].partition("CONFIG\n")[0])
    lab = Postgres(tmp_path)
    (tmp_path / "postgres.ports").write_text("5432\n")
    (tmp_path / "postgres.password").write_text("$POSTGRES_PASSWORD\n")
    expected = {key: written(value) for key, value in shop.connector(lab, {}).items()}
    assert shown == {**expected, "database.hostname": "postgres"}


def test_services_listen_on_their_own_names() -> None:
    for name, one in ours.items():
        assert one["hostname"] == name
        if "SPARK_MASTER" in one["environment"]:
            assert one["environment"]["SPARK_LOCAL_HOSTNAME"] == name
            assert one["environment"]["SPARK_MASTER"] == "spark://spark-master:7077"


def test_the_example_names_every_variable_and_nothing_else() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8")))
    example = set(
        re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text("utf-8"), re.MULTILINE)
    )
    assert example - used == {"COMPOSE_PROFILES", HANDED_ON}  # the first is compose's own
    assert used - example <= {"SPARK_DAEMON_MEMORY"}


def test_the_example_shows_the_defaults() -> None:
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE.read_text(encoding="utf-8")))
    shown = dict(
        re.findall(r"^# ([A-Z][A-Z0-9_]*)=(.+)$", EXAMPLE.read_text("utf-8"), re.MULTILINE)
    )
    for name in ("SPARK_WORKER_CORES", "SPARK_WORKER_MEMORY", "SPARK_CORES_MAX", "RATE", "ROWS"):
        assert shown[name] == defaults[name]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what make-env needs."""
    (tmp_path / "deploy" / "docker").mkdir(parents=True)
    shutil.copy(MAKE_ENV, tmp_path / "deploy" / "docker")
    shutil.copy(EXAMPLE, tmp_path)
    return tmp_path


def test_make_env_draws_secrets_that_are_good_enough_and_private(clone: Path) -> None:
    subprocess.run([str(clone / "deploy" / "docker" / "make-env")], check=True, cwd="/")
    made = clone / ".env"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    drawn = dict(re.findall(r"^([A-Z_]+)=(.*)$", made.read_text(encoding="utf-8"), re.MULTILINE))
    assert drawn.keys() == {*SECRETS, HANDED_ON}
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in drawn.values())
    assert len({*drawn.values()}) == len(drawn)
    compose(drawn)


def test_make_env_leaves_an_env_that_is_there(clone: Path) -> None:
    (clone / ".env").write_text("SPARK_AUTH_SECRET=mine\n")
    line = [str(clone / "deploy" / "docker" / "make-env")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert (clone / ".env").read_text() == "SPARK_AUTH_SECRET=mine\n"
