"""Checks that refuse a job before anything is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.submit.job import Job

if TYPE_CHECKING:
    from medallion_jobs.config import Loaded

# Imports are inside the functions: the set-up needs this package before theirs are installed.


def is_secret(key: str) -> bool:
    """Whether a setting or a dotted path of the config holds a secret, by its name."""
    from medallion_jobs.config.secrecy import is_secret_key  # noqa: PLC0415

    return is_secret_key((key,))


def may_be_shown(key: str, value: object) -> bool:
    """Whether a setting of the config may appear in a command.

    A value from a placeholder may not: it can be a secret, whatever its key is.
    """
    from medallion_jobs.config.secrecy import Hidden  # noqa: PLC0415

    return not is_secret(key) and not isinstance(value, Hidden)


def secrets_in_command(sets: Sequence[str], conf: Mapping[str, str]) -> None:
    """Refuses secrets in a command, which everybody on the machine can read.

    Raises:
        UsageError: one of the settings is a secret.
    """
    from medallion_jobs.config.secrecy import is_placeholder  # noqa: PLC0415

    pairs = {**dict(pair.partition("=")[::2] for pair in sets), **conf}
    wrong = [key for key, value in pairs.items() if is_secret(key) and not is_placeholder(value)]
    if wrong:
        raise UsageError(
            f"{', '.join(wrong)}: a secret must not be in a command, which "
            "everybody on the machine can read",
            code="secret_in_command",
            untouched="nothing was started",
            next_step="for the config, use KEY: ${env:NAME} or ${file:PATH}; for Spark, a file "
            "that only you can read, -- --properties-file FILE",
        )


def checked_config(job: Job, cluster_mode: bool, report: Callable[[str], None]) -> Loaded | None:
    """The config, if it can be loaded on this machine; else None.

    Raises:
        ConfigError: the config has mistakes with which the job would fail at once.
    """
    from medallion_jobs.config import ConfigError, load  # noqa: PLC0415

    if job.config is None:
        return None
    try:
        return load(job.config, job.env, job.sets)
    except ConfigError as error:
        # A driver elsewhere may have the variables and secret files that are missing here.
        if not cluster_mode or not job.config.is_file():
            raise
        report(f"note: the config was not checked here: {str(error).splitlines()[0]}")
        return None


def unfit_for_cluster_mode(kind: str, config: Loaded | None, environ: Mapping[str, str]) -> None:
    """Refuses what cannot work in cluster mode, with the driver on another machine.

    Raises:
        UsageError: the master has no cluster mode, or tables or settings would be missing there.
    """
    if kind in ("local", "spark"):
        what = {
            "local": "a local master runs the driver in this process only",
            "spark": "a standalone cluster accepts no Python job in cluster mode",
        }
        raise UsageError(
            what[kind],
            code="unfit_for_cluster_mode",
            untouched="nothing was started",
            next_step="leave out --deploy-mode cluster: the driver then runs here",
        )
    overrides = sorted(key for key in environ if key.startswith("MEDALLION__"))
    if overrides:
        raise UsageError(
            f"{', '.join(overrides)}: set here, but a driver on another machine does not see it",
            code="settings_not_seen_by_driver",
            untouched="nothing was started",
            next_step="use --set or an overlay instead, and unset it",
        )
    for key in ("storage.root", "landing.root"):
        if config and key in config.relative:
            raise UsageError(
                f"{key} is {config.relative[key]}: a relative path would be in the driver's "
                "working folder, which is removed when the driver ends",
                code="relative_path_in_cluster_mode",
                untouched="nothing was started",
                next_step=f"--set {key}=… with an absolute path or a URI that all machines share",
            )
