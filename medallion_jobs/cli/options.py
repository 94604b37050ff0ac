"""The options that every command shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
