"""What is refused before anything is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.submit.job import Job

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline

# Loaded when they are called: the set-up needs this package before theirs is installed.


def is_secret(key: str) -> bool:
    """Whether a setting or a dotted path of the config holds a secret, by its name."""
    from medallion_jobs.config.secrecy import is_secret_key  # noqa: PLC0415

    return is_secret_key((key,))


def may_be_shown(key: str, value: object) -> bool:
    """Whether a setting of the config may stand in a command.

    What came through a placeholder may not: it may be a secret, whatever its key is called.
    """
    from medallion_jobs.config.secrecy import Hidden  # noqa: PLC0415

    return not is_secret(key) and not isinstance(value, Hidden)


def secrets_in_line(sets: Sequence[str], conf: Mapping[str, str]) -> None:
    """Everybody on a machine can read the lines that run on it.

    Raises:
        UsageError: one of the settings is a secret.
    """
    from medallion_jobs.config.secrecy import is_placeholder  # noqa: PLC0415

    pairs = {**dict(pair.partition("=")[::2] for pair in sets), **conf}
    wrong = [key for key, value in pairs.items() if is_secret(key) and not is_placeholder(value)]
    if wrong:
        raise UsageError(
            f"{', '.join(wrong)}: a secret may not stand in a command, where everybody reads it",
            untouched="nothing was started",
            next_step="of the config: KEY: ${env:NAME} or ${file:PATH}. Of Spark: in a file that "
            "only you may read, -- --properties-file FILE",
        )


def mistakes_in_config(job: Job, away: bool, tell: Callable[[str], None]) -> Pipeline | None:
    """The config, where it can be read here.

    Raises:
        ConfigError: the job would end of it at once.
    """
    from medallion_jobs.config import ConfigError, load  # noqa: PLC0415

    if job.config is None:
        return None
    try:
        return load(job.config, job.env, job.sets).pipeline
    except ConfigError as error:
        # The driver elsewhere may have the variables and secret files that are missed here.
        if not away or not job.config.is_file():
            raise
        tell(f"note: the config was not checked here: {str(error).splitlines()[0]}")
        return None


def cluster_mode(kind: str, pipeline: Pipeline | None, environ: Mapping[str, str]) -> None:
    """What cannot be right where the driver runs elsewhere.

    Raises:
        UsageError: the master has no such mode, or tables or settings would stay behind.
    """
    if kind in ("local", "spark"):
        what = {
            "local": "a driver of its own process has nowhere else to run",
            "spark": "a standalone cluster takes no Python job in cluster mode",
        }
        raise UsageError(
            what[kind],
            untouched="nothing was started",
            next_step="leave out --deploy-mode cluster: the driver then runs here",
        )
    overrides = sorted(key for key in environ if key.startswith("MEDALLION__"))
    if overrides:
        raise UsageError(
            f"{', '.join(overrides)}: set here, and the driver elsewhere would not see it",
            untouched="nothing was started",
            next_step="write it as --set or in an overlay, and unset it",
        )
    for key, root in _roots(pipeline):
        if "://" not in root and not PurePosixPath(root.removeprefix("file:")).is_absolute():
            raise UsageError(
                f"{key} is {root}: relative to the folder of a driver elsewhere, whose folder "
                "is removed when it ends",
                untouched="nothing was started",
                next_step=f"--set {key}=… with an absolute path or a URI that all machines share",
            )


def _roots(pipeline: Pipeline | None) -> list[tuple[str, str]]:
    if pipeline is None:
        return []
    return [
        ("storage.root", str(pipeline.storage.root)),
        ("landing.root", str(pipeline.landing.root)),
    ]
