"""The project: the folder of a pipeline, how its config is found, and what paths are relative to.

A project is a folder with a `medallion.yaml`, or with pipelines in a folder `conf`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from medallion_jobs.config.tree import dotted
from medallion_jobs.errors import UsageError

FILE = "medallion.yaml"
FOLDER = "conf"
SENT = "medallion-conf"  # a folder `conf` that was sent along to a driver on another machine
BASE = "base.yaml"
VARIABLE = "MEDALLION_CONFIG"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PIPELINE = re.compile(rb"^pipeline[ \t]*:", re.MULTILINE)


def folder_of(config: Path) -> Path:
    """The folder that relative paths in a config are relative to, as an absolute path.

    It is the folder above for a file in a folder named `conf`, and its own folder for any other.
    """
    # Not `resolve`: a file that is mounted into a container may be a link to somewhere else.
    folder = Path(os.path.abspath(config)).parent  # noqa: PTH100
    return folder.parent if folder.name in (FOLDER, SENT) else folder


def find(environ: Mapping[str, str] | None = None) -> Path:
    """The config of the project that the current folder is in, for commands that name none.

    It is the file that MEDALLION_CONFIG names; else that of the nearest project, upwards from the
    current folder. Of a project's files, `medallion.yaml` is taken first; it may be a link to one
    of several in `conf`.

    Raises:
        UsageError: there is no project, or it has several configs.
    """
    environ = os.environ if environ is None else environ
    if named := environ.get(VARIABLE):
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        found = _configs(folder)
        if len(found) == 1:
            return _shown(found[0], here)
        if found:
            names = [str(_shown(file, here)) for file in found]
            raise UsageError(
                f"the project {folder} has several configs: {', '.join(names)}",
                code="several_configs",
                untouched="nothing was started or written",
                next_step=f"say which: --config {shlex.quote(names[0])}, or for all commands of "
                f"this shell: export {VARIABLE}={shlex.quote(str(found[0]))}",
            )
    raise UsageError(
        f"there is no {FILE} and no {FOLDER}/ with a pipeline in {here} or a folder above it",
        code="no_project",
        untouched="nothing was started or written",
        next_step="medallion init NAME makes a project; or go to the folder of one, or name its "
        "config: --config FILE",
    )


def _configs(folder: Path) -> list[Path]:
    """The configs of a folder, if it is a project; of several, `medallion.yaml` stands for all."""
    own = folder / FILE
    if own.is_file():
        target = own.readlink() if own.is_symlink() else own
        return [folder / target if target.parent == Path(FOLDER) else own]
    try:
        files = sorted((folder / FOLDER).glob("*.yaml"))
        return [file for file in files if file.name != BASE and _PIPELINE.search(file.read_bytes())]
    except OSError:
        return []  # a folder `conf` of somebody else


def _shown(file: Path, here: Path) -> Path:
    return file.relative_to(here) if file.is_relative_to(here) else file


def is_relative(text: str) -> bool:
    """Whether a folder is written relative to the project: neither an absolute path nor a URI."""
    return bool(text.strip()) and not _SCHEME.match(text) and not Path(text).is_absolute()


def anchored(data: Any, folder: Path) -> tuple[Any, dict[str, str]]:
    """A config's values with each relative path made absolute.

    Args:
        data: the values, with placeholders resolved.

    Returns:
        The values, and the paths that were relative, as written, by their dotted keys.
    """
    relative: dict[str, str] = {}

    def absolute(text: Any, at: tuple[str | int, ...]) -> Any:
        if isinstance(text, list):
            return [absolute(item, (*at, place)) for place, item in enumerate(text)]
        if not isinstance(text, str) or not is_relative(text):
            return text
        relative[dotted(at)] = text
        return type(text)(folder / text)  # a value of a placeholder stays hidden

    for keys in _paths(data):
        data = _replaced(data, keys, absolute)
    return data, relative


def _paths(data: Any) -> Iterator[tuple[str, ...]]:
    """The keys of all values that are paths."""
    yield from (("storage", "root"), ("landing", "root"))
    bronze = data.get("bronze") if isinstance(data, dict) else None
    for name in bronze if isinstance(bronze, dict) else ():
        source = ("bronze", name, "source")
        yield from ((*source, key) for key in ("path", "manifest", "value_schema", "key_schema"))
        yield (*source, "clean_source", "move_to")


def _replaced(
    data: Any,
    keys: tuple[str, ...],
    change: Callable[[Any, tuple[str | int, ...]], Any],
    above: tuple[str, ...] = (),
) -> Any:
    if not keys:
        return change(data, above)
    key, *rest = keys
    if not isinstance(data, dict) or key not in data:
        return data
    return {**data, key: _replaced(data[key], tuple(rest), change, (*above, key))}


def has_earlier_lake(data: Any, folder: Path) -> bool:
    """Whether the pipeline's lake is relative to the current folder, and none to the project.

    Version 0.1.0 took relative paths so. Only a lake with a table of this pipeline counts.

    Args:
        data: the config's values, with placeholders resolved.
        folder: the project's folder.
    """
    storage = data.get("storage") if isinstance(data, dict) else None
    root = storage.get("root") if isinstance(storage, dict) else None
    if not isinstance(root, str) or not is_relative(root) or folder == Path.cwd():
        return False
    if (folder / root / "_medallion").exists():
        return False
    manifests = Path(root, "_medallion", "checkpoints").glob("*/*/manifest.json")
    return any(_pipeline_of(file) == data.get("pipeline") for file in manifests)


def _pipeline_of(manifest: Path) -> str | None:
    try:
        read = json.loads(manifest.read_bytes())
    except (OSError, ValueError):
        return None
    return read.get("pipeline") if isinstance(read, dict) else None


def about_earlier_lake(config: Path, relative: Mapping[str, str]) -> str:
    """The note for a user whose lake is where version 0.1.0 put it.

    Args:
        relative: the config's relative paths, by their dotted keys.
    """
    here = Path.cwd()
    settings = " ".join(
        "--set " + shlex.quote(f"{key}={here / path}") for key, path in relative.items()
    )
    return (
        f"note: the lake is in {here / relative['storage.root']}, relative to the current folder, "
        "and is used there.\n"
        f"      Relative paths of {config} are relative to its project now: {folder_of(config)}.\n"
        f"      From any folder, this lake is found with: {settings}\n"
        f"      Or write these paths into {config}, and this note goes away."
    )
