"""Archives for a driver on another machine: the package, and the config with its layers.

The archives are named by their content, so the same sources give the same bytes under the same
name, and an existing archive can be reused.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from medallion_jobs.runtime.cache import cache_dir, locked

PACKAGE = Path(__file__).resolve().parents[2]
# The oldest timestamp of a zip, for all files, so that archives are reproducible.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16


def package_zip() -> Path:
    """The package as a zip for `--py-files`."""
    files = {
        str(file.relative_to(PACKAGE.parent)): file
        for file in PACKAGE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    return _zip(PACKAGE.name, files)


def config_zip(config: Path, env: str | None) -> Path:
    """The config, base.yaml in its folder, and the overlay `env`, as a zip for `--archives`.

    The layout is that on disk, so that the unpacked config finds its layers. Missing files are
    left out; the config's loader reports them.
    """
    layers = ["base.yaml", config.name, *([f"env/{env}.yaml"] if env else [])]
    files = {name: config.parent / name for name in layers}
    return _zip("conf", {name: file for name, file in files.items() if file.is_file()})


def _zip(name: str, files: Mapping[str, Path]) -> Path:
    contents = {inner: files[inner].read_bytes() for inner in sorted(files)}
    digest = hashlib.sha256()
    for inner, content in contents.items():
        digest.update(f"{inner}\0{len(content)}\0".encode() + content)
    folder = cache_dir() / "submit"
    archive_path = folder / f"{name}-{digest.hexdigest()[:16]}.zip"
    if not archive_path.exists():
        with locked(folder / ".lock"):
            part = archive_path.with_suffix(".part")
            _write(part, contents)
            part.replace(archive_path)
    return archive_path


def _write(path: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inner, content in contents.items():
            entry = zipfile.ZipInfo(inner, _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = _PLAIN_FILE
            archive.writestr(entry, content)
