"""What the Dockerfile and the compose file say, read as the tools that they are for read them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML

from support.lake import ROOT

DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "docker-compose.yml"

_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?:(:-|:\?)([^}]*))?\})")


@dataclass
class Stage:
    """One stage of a Dockerfile.

    Attributes:
        copies: from which stage (none: the folder of the build), what, and to where.
    """

    name: str
    base: str
    copies: list[tuple[str | None, str, str]] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    run: list[str] = field(default_factory=list)
    user: str = "root"
    folder: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)


def stages() -> list[Stage]:
    """The Dockerfile's stages; the last one is the image."""
    found: list[Stage] = []
    for word, rest in _instructions(DOCKERFILE.read_text(encoding="utf-8")):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(name or "image", base))
        elif found:
            _note(found[-1], word, rest)
    return found


def _note(stage: Stage, word: str, rest: str) -> None:
    match word:
        case "COPY":
            origin = re.match(r"--from=(\S+) ", rest)
            *sources, target = rest[origin.end() if origin else 0 :].split()
            stage.copies += [(origin and origin[1], source, target) for source in sources]
        case "ENV":
            stage.env |= dict(re.findall(r"(\w+)=(\S*)", rest))
        case "RUN":
            stage.run.append(rest)
        case "USER":
            stage.user = rest
        case "WORKDIR":
            stage.folder = rest
        case "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        case "CMD":
            stage.command = json.loads(rest)
        case "HEALTHCHECK":
            stage.healthcheck = json.loads(rest[rest.index("[") :])
        case "ARG":
            pass
        case _:
            raise AssertionError(f"{word} is not known here: {rest}")


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (word, rest.strip())
        for line in whole.splitlines()
        if line.strip()
        for word, rest in [line.split(" ", 1)]
    ]


def compose(environment: Mapping[str, str]) -> dict[str, Any]:
    """The compose file with its variables replaced, as `docker compose config` gives it.

    Raises:
        KeyError: a variable that has to be set is not, or is empty; tells what compose would.
    """
    told = YAML(typ="safe", pure=True).load(COMPOSE)
    filled: dict[str, Any] = _filled(told, environment)
    return filled


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, environment) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, environment) for one in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _value(found, environment), value)
    return value


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    name, kind, text = found.groups()
    if name is None:
        return "$"
    if set_to := environment.get(name):
        return set_to
    if kind == ":?":
        raise KeyError(f"required variable {name} is missing a value: {text}")
    return text or ""


def in_order(services: Mapping[str, Any], *profiles: str) -> list[str]:
    """The services that these profiles start, each after those that it depends on."""
    started = {
        name for name, one in services.items() if {*one.get("profiles", profiles)} & {*profiles}
    } | {name for name, one in services.items() if "profiles" not in one}
    ordered: list[str] = []

    def add(name: str) -> None:
        for other, how in services[name].get("depends_on", {}).items():
            if other in started:
                add(other)
            else:
                assert how.get("required") is False, f"{name} waits for {other}, which never starts"
        if name not in ordered:
            ordered.append(name)

    for name in services:
        if name in started:
            add(name)
    return ordered
