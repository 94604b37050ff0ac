"""The jars that Spark itself lacks: fetched once, checked against their sums at each use."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.runtime.cache import cache_dir, from_home, locked
from medallion_jobs.runtime.pinned import ALL, DELTA, POSTGRESQL, S3A, Jar, needed

__all__ = [
    "ALL",
    "DELTA",
    "POSTGRESQL",
    "S3A",
    "Jar",
    "are_kept",
    "delta_jars",
    "kept_at",
    "needed",
]


def delta_jars(
    wanted: tuple[Jar, ...] = DELTA, *, tell: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """The paths of `wanted` in the cache, each checked; those missing or wrong are fetched.

    A copy that Maven or Ivy has on this machine is taken before anything is fetched.

    Args:
        wanted: the jars, in the order in which their paths are returned.
        tell: is given one line for each jar that is copied or fetched.

    Raises:
        TransientError: the network failed; what has come is kept, and the next call goes on.
        UsageError: the repository does not have the jar, or has other bytes under its name.
    """
    folder = cache_dir() / "jars"
    if not all(_intact(folder / jar.file, jar) for jar in wanted):
        with locked(folder / ".lock", tell):
            for jar in wanted:
                # Another start may have fetched it while this one waited for the lock.
                if not _intact(folder / jar.file, jar):
                    _obtain(jar, folder, tell)
    return [folder / jar.file for jar in wanted]


def kept_at(wanted: tuple[Jar, ...]) -> list[Path]:
    """Where the cache keeps `wanted`, or would."""
    return [cache_dir() / "jars" / jar.file for jar in wanted]


def are_kept(wanted: tuple[Jar, ...]) -> bool:
    """Whether the cache has `wanted`, each as it should be."""
    return all(_intact(path, jar) for path, jar in zip(kept_at(wanted), wanted, strict=True))


def _obtain(jar: Jar, folder: Path, tell: Callable[[str], None]) -> None:
    part = folder / f"{jar.file}.part"
    copy = next((file for file in _local_copies(jar) if _intact(file, jar)), None)
    if copy:
        tell(f"{jar.file} copied from {from_home(copy)}")
        shutil.copyfile(copy, part)
    else:
        _fetch(jar, part, tell)
    part.replace(folder / jar.file)


def _local_copies(jar: Jar) -> Iterator[Path]:
    home = Path.home()
    yield home / ".m2" / "repository" / jar.path
    yield from home.glob(f".ivy2*/jars/{jar.group}_{jar.file}")
    yield from home.glob(f".ivy2*/cache/{jar.group}/{jar.artifact}/jars/{jar.file}")


def _fetch(jar: Jar, part: Path, tell: Callable[[str], None]) -> None:
    # Loading the HTTP and TLS modules takes longer than checking the jars, and is needed once.
    from medallion_jobs.runtime.download import NotThereError, UnreachableError, download  # noqa: PLC0415
    from medallion_jobs.runtime.maven import repository  # noqa: PLC0415

    source = repository()
    url = f"{source.url}/{jar.path}"
    tell(f"{jar.file} from {source.url} ({source.named_by})")
    left_over = part.exists()
    try:
        download(url, part, source.login)
        if left_over and not _intact(part, jar):
            part.unlink()  # the left-over was of another file: once more, whole
            download(url, part, source.login)
    except UnreachableError as error:
        raise TransientError(
            f"{url} (named by {source.named_by}) could not be fetched: {error}",
            untouched=_kept(part),
            next_step="type the same command again, it goes on from there. Behind a proxy: "
            "https_proxy=http://HOST:PORT. With a mirror: MEDALLION_MAVEN_URL=https://HOST/PATH",
        ) from error
    except NotThereError as error:
        raise UsageError(
            f"{url} (named by {source.named_by}) was refused: {error}",
            untouched=_kept(part),
            next_step="MEDALLION_MAVEN_URL=https://HOST/PATH of a repository that holds "
            f"{jar.group}:{jar.artifact}:{jar.version}",
        ) from error
    if not _intact(part, jar):
        got = _sha256(part)
        part.unlink()
        raise UsageError(
            f"{url} (named by {source.named_by}) is not the file it should be\n"
            f"  SHA-256 is {got}\n"
            f"  and not    {jar.sha256}",
            untouched=f"the wrong file was removed; {_kept(part)}",
            next_step="MEDALLION_MAVEN_URL=https://HOST/PATH of another repository",
        )


def _kept(part: Path) -> str:
    jars = sorted(file.name for file in part.parent.glob("*.jar"))
    if part.exists():
        jars.append(f"{part.stat().st_size / 1e6:.1f} MB of {part.name}")
    return f"{from_home(part.parent)} keeps {', '.join(jars) or 'nothing yet'}"


def _intact(file: Path, jar: Jar) -> bool:
    return file.is_file() and _sha256(file) == jar.sha256


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
