"""Options that several commands share, and how their values are parsed."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from medallion_jobs.errors import UsageError

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The pipeline's YAML file.", metavar="FILE")
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

DEFAULT_CONFIG = Path("conf/sales.yaml")


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
        value = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise UsageError(
            f"{option} {text} is neither a duration such as 2h nor a timestamp"
        ) from error
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
