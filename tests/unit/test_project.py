"""How a config is found, and what its relative paths are relative to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medallion_jobs.cli import app
from medallion_jobs.config import ConfigError, load, outline
from medallion_jobs.config.project import find, folder_of
from medallion_jobs.errors import UsageError

STORED = Path(__file__).parents[1] / "data" / "lake_0.1.0.tar.xz"
SHOP = """\
pipeline: shop
bronze:
  clicks:
    source: {format: json, path: [in/clicks, /data/clicks, s3a://b/clicks, "file:///x/y"]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MEDALLION_CONFIG", raising=False)
    folder = tmp_path / "shop"
    (folder / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def conf(folder: Path, *names: str) -> None:
    (folder / "conf").mkdir()
    for name in names:
        (folder / "conf" / f"{name}.yaml").write_text(f"pipeline: {name}\n")
    (folder / "conf" / "base.yaml").write_text("storage: {root: ./lake}\n")


def test_a_config_is_found_upwards(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "medallion.yaml").write_text(SHOP)
    assert find({}) == Path("medallion.yaml")
    monkeypatch.chdir(project / "a" / "b")
    assert find({}) == project / "medallion.yaml"
    # The nearest one counts, as for git.
    conf(project / "a", "inner")
    assert find({}) == project / "a" / "conf" / "inner.yaml"
    monkeypatch.chdir(project / "a" / "conf")
    assert find({}) == Path("inner.yaml")


def test_of_several_configs_none_is_guessed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf(project, "sales", "web")
    with pytest.raises(UsageError) as raised:
        find({})
    assert "conf/sales.yaml, conf/web.yaml" in raised.value.what
    assert "--config conf/sales.yaml" in raised.value.next_step
    assert find({"MEDALLION_CONFIG": "conf/web.yaml"}) == Path("conf/web.yaml")
    # A link at the root says which one commands take.
    (project / "medallion.yaml").symlink_to("conf/web.yaml")
    monkeypatch.chdir(project / "a")
    assert find({}) == project / "conf" / "web.yaml"


def test_a_folder_conf_of_another_program_is_no_project(project: Path) -> None:
    (project / "conf").mkdir()
    (project / "conf" / "spark.yaml").write_text("pipelines: []\nx: {pipeline: 1}\n")
    (project / "conf" / "folder.yaml").mkdir()
    with pytest.raises(UsageError) as raised:
        find({})
    assert raised.value.code == "no_project"
    assert "medallion init" in raised.value.next_step


def test_paths_are_relative_to_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "medallion.yaml").write_text(SHOP)
    for place in (project, project / "a" / "b", Path("/")):
        monkeypatch.chdir(place)
        config = load(project / "medallion.yaml", environ={}).pipeline
        assert config.state_path == project / "lake" / "_medallion"
        assert config.landing_root == project / "landing"
        assert config.landing_paths("clicks") == (
            str(project / "in" / "clicks"),
            "/data/clicks",
            "s3a://b/clicks",
            "/x/y",
        )
    monkeypatch.chdir(project / "a")
    assert load(Path("../medallion.yaml"), environ={}).pipeline == config


def test_every_layer_and_every_path_is_relative_to_it(project: Path) -> None:
    conf(project, "shop")
    file = project / "conf" / "shop.yaml"
    file.write_text(
        "pipeline: shop\n"
        "bronze:\n"
        "  a:\n"
        "    source:\n"
        "      {format: json, discovery: manifest, manifest: spool, path: '${env:IN}/[ab]*',\n"
        "       clean_source: {mode: move, move_to: ../archive}}\n"
        "  b:\n"
        "    source:\n"
        "      {format: kafka, servers: 'h:1', topics: t, value: avro, value_schema: b.avsc}\n"
    )
    environ = {"IN": "in", "MEDALLION__LANDING__ROOT": "arrived"}
    loaded = load(file, None, ["storage.root=tables"], environ)
    source = loaded.pipeline.file_sources["a"]
    assert loaded.pipeline.state_path == project / "tables" / "_medallion"
    assert loaded.pipeline.landing_root == project / "arrived"
    assert source.path == (str(project / "in" / "[ab]*"),)
    assert source.manifest == (str(project / "spool"),)
    assert source.clean_source.move_to == (str(project.parent / "archive"),)
    assert loaded.pipeline.kafka_sources["b"].value_schema == str(project / "b.avsc")
    # As written, so that a config has one digest on every machine.
    shown = {setting.path: setting.value for setting in loaded.settings}
    assert (shown["storage.root"], shown["bronze.a.source.path"]) == ("tables", "${env:IN}/[ab]*")
    assert outline(file, None, ["storage.root=tables"], environ).root == project / "tables"


def test_a_secret_file_is_relative_to_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf(project, "shop")
    (project / "conf" / "base.yaml").write_text("storage: {root: '${file:place}'}\n")
    (project / "place").write_text("/data/lake\n")
    monkeypatch.chdir(project / "a")
    config = load(find({}), environ={}).pipeline
    assert config.state_path == Path("/data/lake/_medallion")
    (project / "place").unlink()
    with pytest.raises(ConfigError) as raised:
        load(find({}), environ={})
    assert str(project / "place") in str(raised.value)


def test_the_folder_of_a_config() -> None:
    assert folder_of(Path("/p/conf/x.yaml")) == Path("/p")
    assert folder_of(Path("/p/x/../conf/x.yaml")) == Path("/p")
    assert folder_of(Path("/srv/medallion-conf/x.yaml")) == Path("/srv")
    assert folder_of(Path("/etc/medallion/x.yaml")) == Path("/etc/medallion")
    assert folder_of(Path("/p/conf/../x.yaml")) == Path("/p")


def test_a_mounted_config_keeps_its_folder(project: Path) -> None:
    """Kubernetes mounts a config as a link into a folder that it replaces."""
    (project / "..data").mkdir()
    (project / "..data" / "shop.yaml").write_text(SHOP)
    (project / "shop.yaml").symlink_to("..data/shop.yaml")
    config = load(project / "shop.yaml", environ={}).pipeline
    assert config.state_path == project / "lake" / "_medallion"


@pytest.fixture
def old_lake(tmp_path: Path) -> Path:
    """A folder in which version 0.1.0 made a lake of pipeline `sales`."""
    folder = tmp_path / "home"
    with tarfile.open(STORED) as archive:
        members = [one for one in archive if one.name.startswith("./sales/lake/")]
        archive.extractall(folder, members)
    return folder / "sales"


def test_a_lake_where_version_0_1_0_put_it_is_found(
    project: Path, old_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf(project, "sales")
    file = project / "conf" / "sales.yaml"
    monkeypatch.chdir(old_lake)
    loaded = load(file, environ={})
    assert loaded.pipeline.state_path == old_lake / "lake" / "_medallion"
    assert loaded.pipeline.landing_root == old_lake / "landing"
    assert f"--set storage.root={old_lake / 'lake'}" in loaded.note
    assert f"--set landing.root={old_lake / 'landing'}" in loaded.note
    assert outline(file, environ={}).root == old_lake / "lake"
    told = CliRunner().invoke(app, ["status", "--config", str(file)])
    assert told.stderr.startswith("note: the lake is in")
    # What the note says to type works from everywhere, and without a note.
    monkeypatch.chdir("/")
    sets = [f"storage.root={old_lake / 'lake'}", f"landing.root={old_lake / 'landing'}"]
    again = load(file, None, sets, environ={})
    assert again.pipeline.state_path == loaded.pipeline.state_path
    assert again.note == ""


def test_a_lake_of_another_pipeline_is_left_alone(
    project: Path, old_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf(project, "web")
    monkeypatch.chdir(old_lake)
    loaded = load(project / "conf" / "web.yaml", environ={})
    assert loaded.pipeline.state_path == project / "lake" / "_medallion"
    assert loaded.note == ""


def test_the_lake_of_the_project_goes_before_an_earlier_one(
    project: Path, old_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf(project, "sales")
    (project / "lake" / "_medallion").mkdir(parents=True)
    monkeypatch.chdir(old_lake)
    loaded = load(project / "conf" / "sales.yaml", environ={})
    assert loaded.pipeline.state_path == project / "lake" / "_medallion"
    assert loaded.note == ""


def test_cron_finds_the_same_lake(project: Path) -> None:
    """From `/`, with an empty environment, by a path; and from a sub-folder, by none."""
    (project / "medallion.yaml").write_text(SHOP)

    def folder(cwd: Path, *options: str, **environ: str) -> str:
        script = (
            "import sys; from medallion_jobs.cli.options import with_config, Given\n"
            "import typer; app = typer.Typer()\n"
            "def show(given: Given): print(given.pipeline.state_path)\n"
            "app.command()(with_config(show)); app()"
        )
        package = str(Path(__file__).parents[2])
        done = subprocess.run(
            [sys.executable, "-c", script, *options],
            cwd=cwd,
            env={"PYTHONPATH": package, **environ},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    expected = str(project / "lake" / "_medallion")
    file = project / "medallion.yaml"
    assert folder(Path("/"), "--config", str(file)) == expected
    assert folder(Path("/"), MEDALLION_CONFIG=str(file)) == expected
    assert folder(project / "a" / "b") == expected


def test_commands_take_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "medallion.yaml").write_text(SHOP)
    monkeypatch.chdir(project / "a")
    done = CliRunner().invoke(app, ["config", "show", "--json"])
    assert json.loads(done.stdout)["pipeline"] == "shop"
    os.chdir(project.parent)
    refused = CliRunner().invoke(app, ["config", "show"])
    assert isinstance(refused.exception, UsageError)
