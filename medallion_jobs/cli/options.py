"""Options that several commands share, and how their values are parsed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property, update_wrapper
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from medallion_jobs.config import Loaded, Pipeline, TableRef
    from medallion_jobs.runs import Recorder

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The pipeline's YAML file; unset, $MEDALLION_CONFIG, or the one of the project that "
        "the current folder is in.",
        metavar="FILE",
    ),
]
EnvOption = Annotated[
    str | None,
    typer.Option(
        "--env", "-e", help="Overlay conf/env/NAME.yaml.", metavar="NAME", envvar="MEDALLION_ENV"
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one value; repeatable.", metavar="DOTTED.PATH=VALUE"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]

OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Write to this file atomically.", metavar="FILE"),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do it; without this, only show it.")]

SelectOption = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        help="Only these tables; repeatable: silver.orders, silver.orders+ (and what reads it), "
        "+gold.sales (and what it reads), a layer, or a pattern such as *.orders.",
        metavar="TABLE",
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option("--exclude", help="Without these tables; as --select.", metavar="TABLE"),
]


@dataclass(frozen=True)
class Given:
    """The config that a command line names. It is read when a command first asks for it.

    Attributes:
        file: the pipeline's file.
        option: the text of --config, to be typed again; empty if it was not given.
    """

    file: Path
    env: str | None
    overrides: Sequence[str]
    option: str = ""

    @cached_property
    def loaded(self) -> Loaded:
        """The config with where its values come from, for commands that load no sink.

        The variables with a sink's login need not be set.

        Raises:
            ConfigError: it has mistakes.
        """
        return self._load(loads_sinks=False)

    @property
    def pipeline(self) -> Pipeline:
        """The config alone, for commands that load no sink."""
        return self.loaded.pipeline

    def typed(self, command: str) -> str:
        """The command line of another command with the same options."""
        from medallion_jobs.config import as_options

        return f"medallion {command}{self.option}{as_options(None, self.env, self.overrides)}"

    @cached_property
    def loaded_with_logins(self) -> Loaded:
        """The config, for commands that load sinks.

        Raises:
            ConfigError: it has mistakes, or a variable is not set.
        """
        return self._load(loads_sinks=True)

    def _load(self, *, loads_sinks: bool) -> Loaded:
        from medallion_jobs.config import load

        loaded = load(self.file, self.env, self.overrides, loads_sinks=loads_sinks)
        if loaded.note:
            typer.echo(loaded.note, err=True)
        return loaded


@contextmanager
def recorded(command: str, given: Given, *, changes: bool = True) -> Iterator[Recorder]:
    """Records the run of a command, if it changes anything.

    The command gets its config from the recorder, so that a mistake in it is recorded, too.
    """
    from medallion_jobs.runs import recorded as in_record

    asked = (given.file, given.env, given.overrides)
    with in_record(command, *asked, changes=changes) as recorder:
        yield recorder


def with_config(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command --config, --env and --set, in the place of its parameter `given`."""

    def with_options(
        *,
        config: ConfigOption = None,
        env: EnvOption = None,
        overrides: SetOption = None,
        **others: object,
    ) -> None:
        from medallion_jobs.config import project

        file = config or project.find()
        option = f" --config {shlex.quote(str(config))}" if config else ""
        command(given=Given(file, env, overrides or (), option), **others)

    options = list(signature(with_options, eval_str=True).parameters.values())[:-1]
    parameters = [
        one.replace(kind=Parameter.KEYWORD_ONLY)
        for parameter in signature(command, eval_str=True).parameters.values()
        for one in (options if parameter.name == "given" else [parameter])
    ]
    # Typer takes the options from here, and the help from the command.
    update_wrapper(with_options, command)
    with_options.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return with_options


def table_named(
    name: str, tables: Iterable[TableRef], missing: str, *, untouched: str = ""
) -> TableRef:
    """The one of `tables` that has this name.

    Raises:
        UsageError: none has it, with the words of `missing`.
    """
    known = {str(ref): ref for ref in tables}
    if name not in known:
        raise UsageError(
            missing,
            code="unknown_table",
            untouched=untouched,
            next_step="one of: " + ", ".join(known),
        )
    return known[name]


def duration(text: str, option: str) -> timedelta:
    """The duration that an option gives.

    Raises:
        UsageError: the text is none.
    """
    from medallion_jobs.config.units import parse_time

    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(
            f"{option} {text} is not a duration such as 7d or 12h", code="invalid_duration"
        ) from error


def timestamp(text: str, option: str = "--since") -> datetime:
    """The timestamp that an option gives, as itself or as a duration before now; in UTC.

    Raises:
        UsageError: the text is neither.
    """
    from medallion_jobs.config.units import parse_time

    try:
        return datetime.now(timezone.utc) - parse_time(text)
    except ValueError:
        pass
    try:
        return utc_timestamp(text)
    except ValueError as error:
        raise UsageError(
            f"{option} {text} is neither a duration such as 2h nor a timestamp", code="invalid_time"
        ) from error


def utc_timestamp(text: str) -> datetime:
    """An ISO timestamp, in UTC if it names no zone.

    Raises:
        ValueError: the text is none.
    """
    # Python 3.10 does not parse the Z.
    value = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
