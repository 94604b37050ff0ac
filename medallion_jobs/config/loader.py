"""Loads a pipeline's config from its layers."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medallion_jobs.config import overrides as layers
from medallion_jobs.config import placeholders, project, yaml_text
from medallion_jobs.config.effective import DEFAULT, Setting, settings
from medallion_jobs.config.explain import explain
from medallion_jobs.config.model import Landing, Pipeline, Storage
from medallion_jobs.config.names import folder
from medallion_jobs.config.problems import ConfigError, Problem, nearest
from medallion_jobs.config.secrecy import on_one_line
from medallion_jobs.config.tree import Node, Origin, deepest, merge, node_of, place
from medallion_jobs.storage import S3, Location

_DEFAULTS = {"storage": Storage().root, "landing": Landing().root}


@dataclass(frozen=True)
class Loaded:
    """A config without mistakes.

    Attributes:
        pipeline: the typed config, placeholders resolved.
        settings: every effective value as written, with its origin.
        unresolved: placeholders of sinks without a value; none unless `load` was called
            without `loads_sinks`.
        relative: the paths that are written relative to the project, by their dotted keys; in
            `pipeline` they are absolute.
        note: what the user should know before the config is used; mostly empty.
    """

    pipeline: Pipeline
    settings: tuple[Setting, ...]
    unresolved: tuple[Problem, ...] = ()
    relative: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @cached_property
    def origins(self) -> Mapping[str, Origin]:
        """The layer that set each value, by its dotted path."""
        return {setting.path: setting.origin for setting in self.settings}


def load(
    path: Path,
    env: str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    loads_sinks: bool = True,
) -> Loaded:
    """Read a pipeline's config.

    Later layers win: the model's defaults, base.yaml beside the file, the file, env/ENV.yaml
    beside it, environment variables `MEDALLION__KEY__KEY`, `--set`. Mappings are merged key
    by key, lists and scalars replaced. Relative paths are relative to the project, whichever
    layer they are from.

    Args:
        path: the pipeline's YAML file.
        env: name of the overlay, if any.
        overrides: `dotted.path=value`; the value is text as it stands where the key takes text,
            else YAML.
        environ: the environment; the process's own when None.
        loads_sinks: whether sinks are to be loaded. If not, placeholders for how a sink is
            reached need no value, and their text stays in the pipeline.

    Raises:
        ConfigError: with every mistake.
    """
    environ = os.environ if environ is None else environ
    tree, problems = _files_merged(path, env, overrides)
    from_environment = layers.environment_on(tree, environ)
    from_command_line = layers.set_on(from_environment.tree, overrides)
    tree = from_command_line.tree
    problems += from_environment.problems + from_command_line.problems
    problems += placeholders.literal_secrets(tree)

    tree = _with_default_folders(tree)
    values = _values(tree, path, environ)
    unresolved = values.problems
    not_needed = () if loads_sinks else tuple(filter(placeholders.is_of_login, unresolved))
    unresolved = [problem for problem in unresolved if problem not in not_needed]
    without_value = {problem.path for problem in unresolved}
    problems += unresolved
    try:
        pipeline = Pipeline.model_validate(values.data)
    except ValidationError as error:
        # A placeholder without a value is already reported; its text is not a value to check.
        problems += [found for found in explain(error, tree) if found.path not in without_value]
        raise _config_error(problems, path, env, overrides) from None
    if problems:
        raise _config_error(problems, path, env, overrides)
    if pipeline.python_packages:
        _find_packages_in(project.folder_of(path))
    note = project.about_earlier_lake(path, values.relative) if values.are_earlier else ""
    return Loaded(pipeline, settings(pipeline, tree), not_needed, values.relative, note)


@dataclass(frozen=True)
class _Values:
    """A config's values, with placeholders resolved and paths absolute.

    Attributes:
        relative: the paths that were relative, as written, by their dotted keys.
        are_earlier: whether they are relative to the current folder, where the lake is already.
    """

    data: Any
    problems: list[Problem]
    relative: Mapping[str, str]
    are_earlier: bool


def _values(tree: Node, path: Path, environ: Mapping[str, str]) -> _Values:
    folder = project.folder_of(path)
    data, problems = placeholders.resolve(tree, environ, folder)
    are_earlier = project.has_earlier_lake(data, folder)
    if are_earlier:
        folder = Path.cwd()
        data, problems = placeholders.resolve(tree, environ, folder)
    data, relative = project.anchored(data, folder)
    return _Values(data, problems, relative, are_earlier)


def _with_default_folders(tree: Node) -> Node:
    """The tree with the folders that no layer sets: they are relative to the project, too."""
    for key, text in _DEFAULTS.items():
        _, section = deepest(tree, (key,))
        known = section.value if section is not tree else {}
        if isinstance(known, dict) and "root" not in known:
            tree = place(tree, (key, "root"), Node(text, DEFAULT))
    return tree


@dataclass(frozen=True)
class Outline:
    """What can be known of a config that may have mistakes.

    Attributes:
        pipeline: the pipeline's name; empty if unknown.
        root: `storage.root`; None if unknown. The default counts if there is such a lake already.
    """

    pipeline: str
    root: Location | None


def outline(
    path: Path,
    env: str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Outline:
    """The name and the lake of a config, mistakes or not; the arguments are those of `load`."""
    environ = os.environ if environ is None else environ
    tree = layers.environment_on(_files_read(path, env).tree, environ).tree
    tree = layers.set_on(tree, overrides).tree
    is_default = not isinstance(deepest(tree, ("storage", "root"))[1].value, str)
    data = _values(_with_default_folders(tree), path, environ).data
    name, root = _value_at(data, "pipeline"), _value_at(data, "storage", "root")
    conf = _value_at(data, "spark", "conf")
    found = _folder(root, S3.of(conf if isinstance(conf, dict) else {}))
    if found and is_default and not (found / "_medallion").exists():
        found = None
    return Outline(name if isinstance(name, str) else "", found)


def _folder(text: object, store: S3) -> Location | None:
    if not isinstance(text, str) or "${" in text:
        return None
    try:
        return folder(text, store)
    except ValueError:
        return None


def _value_at(data: object, *keys: str) -> object:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def pipeline_from_values(values: Mapping[str, object], source: str) -> Pipeline:
    """A pipeline from a program's values, checked like the values of a file.

    Args:
        source: where the values come from, for error messages.

    Raises:
        ConfigError: with every mistake.
    """
    tree = node_of(values, Origin(source))
    try:
        return Pipeline.model_validate(values)
    except ValidationError as error:
        raise ConfigError(list(explain(error, tree)), next_step="fix the call") from None


@dataclass(frozen=True)
class _Read:
    """The config's files as one tree; `is_complete` if each of them could be read."""

    tree: Node
    problems: list[Problem]
    is_complete: bool


def _find_packages_in(folder: Path) -> None:
    """Lets Python import the project's own packages, after those that are installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _files_merged(
    path: Path, env: str | None, overrides: Sequence[str]
) -> tuple[Node, list[Problem]]:
    """base.yaml, the pipeline's file and the overlay as one tree.

    Raises:
        ConfigError: a file is missing or is not YAML, so the rest cannot be checked.
    """
    read = _files_read(path, env)
    if not read.is_complete:
        raise _config_error(read.problems, path, env, overrides)
    return read.tree, read.problems


def _files_read(path: Path, env: str | None) -> _Read:
    problems: list[Problem] = []
    files = [path]
    base = path.parent / project.BASE
    if base != path and base.exists():
        files.insert(0, base)
    if env is not None and re.fullmatch(r"[\w-]+", env):
        files.append(path.parent / "env" / f"{env}.yaml")
    elif env is not None:
        bad = Problem(Origin("--env"), "", "not a name", on_one_line(env), "letters, digits, _, -")
        problems.append(bad)
    # Keys missing at the top are missing from the pipeline's own file.
    tree = Node({}, Origin(str(path), 1))
    complete = not problems
    for file in files:
        read, found = _read(file)
        problems += found
        complete = complete and read is not None
        if read is not None and read.value is not None:
            tree = merge(tree, read)
    return _Read(tree, problems, complete)


def _read(file: Path) -> tuple[Node | None, list[Problem]]:
    origin = Origin(str(file))
    try:
        with file.open("rb") as stream:
            content = stream.read(yaml_text.MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        existing = sorted(
            other.name
            for other in file.parent.glob("*.yaml")
            if other.name != project.BASE and other.is_file()
        )
        listed = f"in {file.parent}: {', '.join(existing) or 'no YAML files'}"
        meant = nearest(file.name, existing)
        return None, [Problem(origin, "", "there is no such file", None, listed, meant)]
    except OSError as error:
        return None, [Problem(origin, "", f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError:
        return None, [Problem(origin, "", "not UTF-8 text")]
    root, problems = yaml_text.parse(text, str(file))
    if root is not None and root.value is not None and not isinstance(root.value, dict):
        return None, [Problem(root.origin, "", "not a mapping", None, "keys and values")]
    return root, problems


def _config_error(
    problems: list[Problem], path: Path, env: str | None, overrides: Sequence[str]
) -> ConfigError:
    # By layer, then by line: the order in which a user reads the files.
    def rank(problem: Problem) -> tuple[int, int]:
        source = problem.origin.source
        layer = {str(path.parent / project.BASE): 0, str(path): 1, "--env": 2, "--set": 4}.get(
            source
        )
        if layer is None:
            layer = 3 if source.startswith("environment ") else 2
        return layer, problem.origin.line or 0

    options = layers.as_options(path, env, overrides)
    next_step = f"fix them, then: medallion config show{options}"
    return ConfigError(sorted(problems, key=rank), next_step=next_step)
