"""The Dockerfile, its lint, and what it takes from this repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.image import DOCKERFILE, stages
from support.lake import ROOT

LOCK = ROOT / "requirements.lock"
BIN = ROOT / "deploy" / "docker" / "bin"


def runtime_lock(*options: str) -> str:
    script = ROOT / "deploy" / "docker" / "runtime_lock.py"
    line = [sys.executable, str(script), str(LOCK), *options]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout


def names(lock: str) -> set[str]:
    return set(re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE))


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    line = [str(hadolint), "--failure-threshold", "style", str(DOCKERFILE)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    image = stages()[-1]
    assert image.user == "10001:10001"
    assert image.healthcheck == ["healthy", "layer", "all"]
    assert image.entrypoint == ["/opt/medallion/bin/entrypoint"]
    assert "useradd --uid 10001 --gid 10001" in image.run[0]


def test_every_stage_has_a_base_that_is_pinned_by_a_tag() -> None:
    told = DOCKERFILE.read_text(encoding="utf-8")
    (base,) = re.findall(r"^ARG BASE=(.*)$", told, re.MULTILINE)
    assert re.fullmatch(r"python:3\.1[0-3]-slim-[a-z]+", base)
    made = {stage.name for stage in stages()}
    assert {stage.base for stage in stages()} - made == {"${BASE}"}


def test_packages_and_jars_are_taken_with_their_hashes() -> None:
    steps = " ".join(step for stage in stages() for step in stage.run)
    installs = re.findall(r"-m pip .*?(?= &&|$)", steps)
    assert len(installs) == 2
    assert all("--require-hashes" in one for one in installs)
    assert "medallion_jobs.runtime jars --all" in steps


def test_what_is_copied_is_there_and_reaches_the_engine() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert next(line for line in ignore if line and not line.startswith("#")) == "*"
    let_in = {line[1:] for line in ignore if line.startswith("!")}
    copied = {what for stage in stages() for origin, what, _ in stage.copies if origin is None}
    assert copied
    for what in copied:
        assert (ROOT / what).exists()
        assert any(what == one or what.startswith(f"{one}/") for one in let_in), what
    # Nothing is let in that no step takes.
    assert all(any(what.startswith(one) for what in copied) for one in let_in)


def test_the_part_of_the_lock_is_all_that_the_package_needs_and_no_more() -> None:
    part = names(runtime_lock())
    needed = {
        Requirement(one).name for one in requires("medallion-jobs") or () if "extra" not in one
    }
    waiting = set(needed)
    while waiting:
        name = waiting.pop()
        for one in map(Requirement, requires(name) or ()):
            wanted = one.marker is None or one.marker.evaluate({"extra": ""})
            if wanted and one.name not in needed:
                needed.add(one.name)
                waiting.add(one.name)
    missing = {name.replace("_", "-").replace(".", "-") for name in map(str.lower, needed)} - part
    assert missing == set()
    assert part & {"pytest", "ruff", "mypy", "hypothesis", "psycopg", "setuptools"} == set()
    for entry in re.findall(r"^\S+==.*\n(?:[ \t]+.*\n)*", runtime_lock(), re.MULTILINE):
        assert "--hash=sha256:" in entry


def test_what_builds_is_of_the_lock_too() -> None:
    assert names(runtime_lock("--build")) == {"setuptools", "wheel", "packaging"}


@pytest.mark.parametrize("script", sorted(BIN.iterdir()), ids=lambda path: path.name)
def test_a_script_of_the_image_can_be_run(script: Path) -> None:
    assert os.access(script, os.X_OK)
    first = script.read_text(encoding="utf-8").splitlines()[0]
    if first.endswith("sh"):
        subprocess.run(["bash", "-n", str(script)], check=True)
    else:
        assert first == "#!/usr/bin/env python3"
        compile(script.read_text(encoding="utf-8"), str(script), "exec")
