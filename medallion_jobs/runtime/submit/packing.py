"""What travels to a driver on another machine: the package, and the config with its layers.

Both archives are named after what they hold, so the same sources give the same bytes under
the same name, and an archive that is there need not be made again.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from medallion_jobs.runtime.cache import cache_dir, locked

PACKAGE = Path(__file__).resolve().parents[2]
# The oldest moment that a zip can tell: the same for all files, whenever they were written.
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
    """The config, base.yaml beside it, and the overlay `env`, as a zip for `--archives`.

    They lie in it as they lie on disk: unpacked, the config finds its layers as it does here.
    What is not there is left out; it is for the config's own reader to miss it.
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
    made = folder / f"{name}-{digest.hexdigest()[:16]}.zip"
    if not made.exists():
        with locked(folder / ".lock"):
            part = made.with_suffix(".part")
            _write(part, contents)
            part.replace(made)
    return made


def _write(path: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inner, content in contents.items():
            entry = zipfile.ZipInfo(inner, _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = _PLAIN_FILE
            archive.writestr(entry, content)
