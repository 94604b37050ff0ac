"""Where tables and files may be: local folders that do not contain one another."""

from pathlib import Path

import pytest

from medallion_jobs.config import ConfigError, Problem, TableRef, load
from medallion_jobs.lake.paths import TablePaths

GOOD = """\
pipeline: web
bronze:
  clicks:
    source: {format: json, schema: user_id bigint}
"""


def only_problem(folder: Path, *overrides: str) -> Problem:
    file = folder / "web.yaml"
    file.write_text(GOOD)
    with pytest.raises(ConfigError) as raised:
        load(file, overrides=overrides, environ={})
    (problem,) = raised.value.problems
    return problem


@pytest.mark.parametrize(
    "uri",
    ["hdfs://host/lake", "abfss://c@a/lake", "gs://b/lake", "dbfs:/lake"],
)
def test_tables_lie_on_this_machine_or_in_s3(tmp_path: Path, uri: str) -> None:
    problem = only_problem(tmp_path, f"storage.root={uri}")
    assert "neither a local path nor an S3 URI (s3a://BUCKET/FOLDER)" in problem.what


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("s3://bucket/lake", "write S3 folders as s3a://BUCKET/FOLDER"),
        ("s3a://", "a URI without a bucket"),
        ("s3a://bucket/a/../b", ". or .. in it"),
        ("'a`b'", "a folder with a ` in its name"),
    ],
)
def test_objects_are_named_as_spark_names_them(tmp_path: Path, uri: str, what: str) -> None:
    assert what in only_problem(tmp_path, f"storage.root={uri}").what


def test_folders_of_objects_do_not_contain_one_another(tmp_path: Path) -> None:
    file = tmp_path / "sales.yaml"
    file.write_text("pipeline: sales\n")
    roots = ["storage.root=s3a://shop/lake", "landing.root=s3a://shop/lake/in"]
    with pytest.raises(ConfigError, match="overlap"):
        load(file, overrides=roots, environ={})
    apart = load(file, overrides=[roots[0], "landing.root=s3a://shop/lake2"], environ={}).pipeline
    assert apart.has_objects
    assert str(TablePaths(apart, TableRef("gold", "x")).data) == "s3a://shop/lake/gold/x"
    assert str(apart.landing_root) == "s3a://shop/lake2"


@pytest.mark.parametrize("uri", ["file://host/lake", "file:lake", "file:///lake?x", '"a\\nb"'])
def test_a_folder_that_is_none_is_refused(tmp_path: Path, uri: str) -> None:
    assert only_problem(tmp_path, f"landing.root={uri}").path == "landing.root"


@pytest.mark.parametrize(
    ("overrides", "told_at"),
    [
        (("storage.root=data", "landing.root=data"), "landing.root"),
        (("storage.root=data", "landing.root=data/in"), "landing.root"),
        (("storage.root=data/lake", "landing.root=file:{here}/data"), "landing.root"),
        (("storage.root=x/../lake", "landing.root=lake/in"), "landing.root"),
        (("bronze.clicks.source.path=lake/x",), "bronze.clicks.source.path"),
    ],
)
def test_folders_may_not_contain_one_another(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: tuple[str, ...],
    told_at: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    problem = only_problem(tmp_path, *(text.format(here=tmp_path) for text in overrides))
    assert (problem.path, "overlap" in problem.what) == (told_at, True)


def test_folders_that_only_begin_alike_are_apart(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(GOOD)
    load(file, overrides=["storage.root=data", "landing.root=data2"], environ={})
