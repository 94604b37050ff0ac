"""The jars that Spark itself lacks: fetched once, checked by their SHA-256 at each use."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.runtime.cache import cache_dir, from_home, locked
from medallion_jobs.runtime.pinned import (
    ALL,
    DELTA,
    DELTA_FOR,
    KAFKA,
    NEWEST,
    POSTGRESQL,
    S3A,
    SPARK,
    Jar,
    needed,
)

__all__ = [
    "ALL",
    "DELTA",
    "KAFKA",
    "POSTGRESQL",
    "S3A",
    "SPARK",
    "Jar",
    "are_cached",
    "cache_paths",
    "delta_jars",
    "needed",
]


def delta_jars(
    wanted: tuple[Jar, ...] = DELTA, *, report: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """The paths of `wanted` in the cache, each checked; fetches those that are missing or wrong.

    A copy in a local Maven or Ivy cache is used before anything is fetched.

    Args:
        wanted: the jars, in the order in which their paths are returned.
        report: receives one line for each jar that is copied or fetched.

    Raises:
        TransientError: the network failed; partial downloads are kept, and the next call resumes.
        UsageError: the repository lacks the jar, or has a different file under its name; or no
            jar is known for the installed Spark.
    """
    _refuse_unknown(wanted)
    folder = cache_dir() / "jars"
    if not all(_is_valid(folder / jar.file, jar) for jar in wanted):
        with locked(folder / ".lock", report):
            for jar in wanted:
                # Another process may have fetched it while this one waited for the lock.
                if not _is_valid(folder / jar.file, jar):
                    _obtain(jar, folder, report)
    return [folder / jar.file for jar in wanted]


def _refuse_unknown(wanted: tuple[Jar, ...]) -> None:
    what = ""
    if SPARK not in DELTA_FOR:
        what = f"this package runs on Spark {', '.join(DELTA_FOR)}"
    elif NEWEST != SPARK and {*wanted} & {*S3A, *KAFKA}:
        what = f"the jars for object stores and for Kafka are those of Spark {NEWEST}"
    if what:
        raise UsageError(
            f"{what}, and pyspark {SPARK} is installed",
            code="other_spark",
            untouched="nothing was fetched or started",
            next_step=f"pip install pyspark=={NEWEST}.0",
        )


def cache_paths(wanted: tuple[Jar, ...]) -> list[Path]:
    """The paths of `wanted` in the cache, whether they exist or not."""
    return [cache_dir() / "jars" / jar.file for jar in wanted]


def are_cached(wanted: tuple[Jar, ...]) -> bool:
    """Whether the cache has all of `wanted`, with the right content."""
    return all(_is_valid(path, jar) for path, jar in zip(cache_paths(wanted), wanted, strict=True))


def _obtain(jar: Jar, folder: Path, report: Callable[[str], None]) -> None:
    part = folder / f"{jar.file}.part"
    copy = next((file for file in _local_copies(jar) if _is_valid(file, jar)), None)
    if copy:
        report(f"{jar.file} copied from {from_home(copy)}")
        shutil.copyfile(copy, part)
    else:
        _fetch(jar, part, report)
    part.replace(folder / jar.file)


def _local_copies(jar: Jar) -> Iterator[Path]:
    home = Path.home()
    yield home / ".m2" / "repository" / jar.path
    yield from home.glob(f".ivy2*/jars/{jar.group}_{jar.file}")
    yield from home.glob(f".ivy2*/cache/{jar.group}/{jar.artifact}/jars/{jar.file}")


def _fetch(jar: Jar, part: Path, report: Callable[[str], None]) -> None:
    # Loading the HTTP and TLS modules takes longer than checking the jars, and is rarely needed.
    from medallion_jobs.runtime.download import NotThereError, UnreachableError, download  # noqa: PLC0415
    from medallion_jobs.runtime.maven import repository  # noqa: PLC0415

    source = repository()
    url = f"{source.url}/{jar.path}"
    report(f"{jar.file} from {source.url} ({source.named_by})")
    leftover = part.exists()
    try:
        download(url, part, source.login)
        if leftover and not _is_valid(part, jar):
            part.unlink()  # the leftover was from another file: download all of it
            download(url, part, source.login)
    except UnreachableError as error:
        raise TransientError(
            f"{url} (named by {source.named_by}) could not be fetched: {error}",
            code="jar_not_fetched",
            untouched=_cached(part),
            next_step="run the same command again; it resumes the download. Behind a proxy: "
            "https_proxy=http://HOST:PORT. With a mirror: MEDALLION_MAVEN_URL=https://HOST/PATH "
            "(Maven's settings.xml is not read)",
        ) from error
    except NotThereError as error:
        raise UsageError(
            f"{url} (named by {source.named_by}) was refused: {error}",
            code="jar_refused",
            untouched=_cached(part),
            next_step="MEDALLION_MAVEN_URL=https://HOST/PATH of a repository that holds "
            f"{jar.group}:{jar.artifact}:{jar.version} (Maven's settings.xml is not read)",
        ) from error
    if not _is_valid(part, jar):
        found = _sha256(part)
        part.unlink()
        raise UsageError(
            f"{url} (named by {source.named_by}) is not the expected file\n"
            f"  SHA-256:  {found}\n"
            f"  expected: {jar.sha256}",
            code="jar_checksum_differs",
            untouched=f"the wrong file was removed; {_cached(part)}",
            next_step="MEDALLION_MAVEN_URL=https://HOST/PATH of another repository",
        )


def _cached(part: Path) -> str:
    jars = sorted(file.name for file in part.parent.glob("*.jar"))
    if part.exists():
        jars.append(f"{part.stat().st_size / 1e6:.1f} MB of {part.name}")
    return f"{from_home(part.parent)} has {', '.join(jars) or 'nothing yet'}"


def _is_valid(file: Path, jar: Jar) -> bool:
    return file.is_file() and _sha256(file) == jar.sha256


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
