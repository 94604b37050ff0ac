"""Each block of code on the pages: a config loads, a command is one, JSON and Python parse.

Without a JVM. SQL is in test_page_queries.py. What the commands of a page do is tested elsewhere:
docs/testing.md says where.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from support.pages import ROOT, Block, blocks, words, yaml_values

from medallion_jobs.cli import app
from medallion_jobs.config import ConfigError, Pipeline, load
from medallion_jobs.config.gold import GoldTable
from medallion_jobs.config.kafka_source import KafkaSource
from medallion_jobs.config.lookups import Lookup
from medallion_jobs.config.model import BronzeTable
from medallion_jobs.config.silver import SilverTable
from medallion_jobs.config.source import FileSource

LANGUAGES = {"console", "text", "yaml", "json", "python", "sql", "mermaid"}
# A config with mistakes on purpose: the page shows what is printed.
MISTAKEN = {"config.md"}
# Programs of others; what their arguments name in this repository has to exist.
OTHERS = {
    *("docker", "kubectl", "export", "pip", "uv", "uvx", "pipx", "source", "git", "cd", "mkdir"),
    *("python", "python3", "python3.11", "spark-submit", "eval", "crontab", "cp", "systemctl"),
    *("grep", "cat", "aws", "bash", "ls"),
}
PLACES = ("deploy/", "scripts/", "medallion_jobs/", "conf/")
# Cases, whole or a step of one: tests/unit/test_cases.py has what they may say.
CASES = {"config", "cases", "then"}
# Not of a pipeline: checked against the schema of its program.
CI = {".github/workflows/pipeline.yml": "github-workflows", ".gitlab-ci.yml": "gitlab-ci"}
# For `${env:NAME}`: Kafka's client takes no other form.
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required username='x';"


def cases(*languages: str) -> list[Any]:
    return [pytest.param(block, id=str(block)) for block in blocks(*languages)]


def test_every_block_has_a_language() -> None:
    assert [str(block) for block in blocks() if block.language not in LANGUAGES] == []
    typed = re.compile(r"^\$ |^(medallion|scripts/\w+|spark-submit|docker|kubectl) ", re.MULTILINE)
    assert [str(block) for block in blocks("text") if typed.search(block.text)] == []


@pytest.mark.parametrize("block", cases("yaml"))
def test_a_config_loads(block: Block, tmp_path: Path) -> None:
    values = block.values
    if "services" in values:  # of compose; tests/unit/test_compose.py has the file that it adds to
        assert {*values["services"]} <= {*_compose()["services"]}
    elif values.keys() <= CASES:
        assert block.page.name == "testing.md"
    elif kind := CI.get(block.title):
        _of_schema(kind, block.text, tmp_path)
    elif block.page.name in MISTAKEN:
        with pytest.raises(ConfigError):
            _load(values, tmp_path)
    else:
        _load(values, tmp_path)


def _of_schema(kind: str, text: str, folder: Path) -> None:
    """The file of a CI is of that CI's schema, and the commands in it are commands."""
    file = folder / "ci.yaml"
    file.write_text(text, encoding="utf-8")
    checker = Path(sys.executable).with_name("check-jsonschema")
    line = [str(checker), "--builtin-schema", f"vendor.{kind}", str(file)]
    checked = subprocess.run(line, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    run = re.findall(r"- (?:run: )?medallion (.*)$", text, re.MULTILINE)
    assert len(run) > 1
    for command in run:
        _parse(command.split())


@cache
def _compose() -> dict[str, Any]:
    return yaml_values((ROOT / "docker-compose.yml").read_text(), "docker-compose.yml")


def _load(fragment: dict[str, Any], folder: Path) -> Pipeline:
    """A config from the part of one that a page shows; what is around it is made up."""
    values = {"pipeline": "shown", **_whole(fragment)}
    for table in list(values.get("gold", {}).values()):
        _add(values, table["from"])
    for table in list(values.get("silver", {}).values()):
        _add(values, table["from"])
        for lookup in table.get("lookups", ()):
            lookup.setdefault("take", ["taken"])
    file = folder / "shown.yaml"
    file.write_text(json.dumps(values), encoding="utf-8")
    secrets = dict.fromkeys(re.findall(r"\$\{env:(\w+)\}", json.dumps(values)), LOGIN)
    return load(file, environ=secrets).pipeline


def _add(values: dict[str, Any], ref: str) -> None:
    layer, name = ref.split(".")
    tables = values.setdefault(layer, {})
    if name not in tables:
        source: dict[str, Any] = {"from": "bronze.shown"}
        tables[name] = {"source": {"format": "json"}} if layer == "bronze" else source
        if layer == "silver":
            _add(values, "bronze.shown")


def _whole(fragment: dict[str, Any]) -> dict[str, Any]:
    """The fragment in its place in a config, by the names of its keys."""
    silver, gold = {"from": "bronze.shown"}, {"from": "silver.shown"}
    measured = {"group_by": ["x"], "measures": {"n": {"count": "*"}}, "mode": "complete"}
    kafka = {"format": "kafka", "servers": "kafka-1:9092", "topics": "shown"}
    if fragment.keys() <= _keys(Pipeline):
        for table in fragment.get("bronze", {}).values():
            table["source"].setdefault("format", "json")
        return fragment
    if fragment.keys() <= _keys(BronzeTable):
        return {"bronze": {"shown": fragment}}
    if fragment.keys() <= _keys(SilverTable):
        return {"silver": {"shown": {**silver, **fragment}}}
    if fragment.keys() <= _keys(GoldTable):
        return {"gold": {"shown": {**gold, **measured, **fragment}}}
    if fragment.keys() <= _keys(Lookup):
        lookup = {"table": "silver.other", "on": "x", **fragment}
        return {"silver": {"shown": {**silver, "lookups": [lookup]}}}
    is_kafka = any(key.startswith("kafka.") for key in fragment.get("options", ()))
    assert fragment.keys() <= _keys(KafkaSource if is_kafka else FileSource), "no part of a config"
    return {
        "bronze": {"shown": {"source": {**(kafka if is_kafka else {"format": "csv"}), **fragment}}}
    }


def _keys(model: Any) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def lines() -> list[Any]:
    """Every command of the blocks, each with its block."""
    found = []
    for block in blocks("console"):
        typed = block.text.replace("\\\n", " ").splitlines()
        marked = [line for line in typed if line.startswith("$ ")]
        for line in dict.fromkeys(line.removeprefix("$ ").strip() for line in marked or typed):
            if line and not re.match(r"#|\w+=", line):
                found.append(pytest.param(line, id=f"{block}: {line}"[:90]))
    return found


@pytest.mark.parametrize("line", lines())
def test_a_command_is_one(line: str) -> None:
    program, *arguments = words(line)
    if program in ("docker", "docker-compose"):
        program, arguments = _in_container(arguments)
    if program == "medallion":
        _parse(arguments)
    elif program.startswith("scripts/"):
        _of_script(program, arguments)
    else:
        assert program in OTHERS or program.startswith(("/opt/", ".venv/", "deploy/")), program
    named = [word for word in (program, *arguments) if word.startswith(PLACES)]
    assert [place for place in named if not (ROOT / place.rstrip("*")).exists()] == []
    if program == "spark-submit":
        after = arguments[1 + next(n for n, word in enumerate(arguments) if word in JOBS) :]
        assert {word for word in after if word.startswith("--")} <= JOB_OPTIONS


JOBS = {f"medallion_jobs/{layer}.py" for layer in ("bronze", "silver", "gold")}
JOB_OPTIONS = {"--config", "--env", "--set", "--once", "--continuous"}


def _parse(arguments: list[str]) -> None:
    """Parses a command line as `medallion` does, without running it."""
    command: Any = typer.main.get_command(app)
    name = "medallion"
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        command = command.commands[name]
    if not {"--help", "-h", "--version"} & {*arguments}:
        command.make_context(name, arguments)


def _of_script(program: str, arguments: list[str]) -> None:
    """A script's options and commands are those of the comment at its head."""
    assert os.access(ROOT / program, os.X_OK)
    head = (ROOT / program).read_text(encoding="utf-8").partition("\nset -")[0]
    if program.endswith(".py"):
        return
    known = {*re.findall(r"--[a-z-]+", head), *(JOB_OPTIONS if "submit" in program else ())}
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    assert {word.partition("=")[0] for word in own if word.startswith("--")} <= known
    if own and program in ("scripts/cluster", "scripts/cdc-lab", "scripts/submit"):
        assert re.search(rf"[ |]{own[0]}[| ]", head), own[0]


def _in_container(arguments: list[str]) -> tuple[str, list[str]]:
    """What `docker compose run|exec SERVICE` runs; `run` gives it to `medallion`."""
    service = next((name for name in _compose()["services"] if name in arguments), "")
    if not service or not {"run", "exec"} & {*arguments}:
        return "docker", arguments
    inside = arguments[arguments.index(service) + 1 :]
    return ("medallion", inside) if "run" in arguments else (inside[0], inside[1:])


@pytest.mark.parametrize("block", cases("json"))
def test_json_parses(block: Block) -> None:
    for line in block.text.splitlines():
        json.loads(line)


@pytest.mark.parametrize("block", cases("python"))
def test_python_calls_what_there_is(block: Block) -> None:
    """Names of the package exist, and take the arguments that they are given."""
    tree = ast.parse(block.text)
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medallion_jobs"):
            module = importlib.import_module(node.module or "")
            known |= {one.asname or one.name: getattr(module, one.name) for one in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = _called(node.func, known)
            if called is not None:
                named = {one.arg: ... for one in node.keywords if one.arg}
                inspect.signature(called).bind(*[... for _ in node.args], **named)


def _called(function: ast.expr, known: dict[str, Any]) -> Any:
    if isinstance(function, ast.Attribute):
        inside = _called(function.value, known)
        return getattr(inside, function.attr) if inside is not None else None
    return known.get(function.id) if isinstance(function, ast.Name) else None
