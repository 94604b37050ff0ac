"""`medallion explain`: what the code of an error stands for."""

from __future__ import annotations

import re
from importlib import resources
from typing import Annotated

import typer

from medallion_jobs.errors import UsageError

_ROW = re.compile(r"\| `(\w+)` \| (.*?) \| (.*) \| (.*) \|")


def explain(
    code: Annotated[str, typer.Argument(help="The code, as JSON output and the record show it.")],
) -> None:
    """Print what an error's code stands for, and what to do."""
    pages = _pages()
    if code not in pages:
        from medallion_jobs.config.problems import nearest

        close = nearest(code, pages)
        raise UsageError(
            f"no error has the code {code}",
            code="unknown_error_code",
            next_step=f"medallion explain {close}" if close else "docs/errors.md lists all codes",
        )
    exits, what, fix = pages[code]
    typer.echo(f"{code} (exit code {exits})")
    for title, texts in (("what happened", what), ("what to do", fix)):
        for text in texts.split("<br>") if texts else ():
            typer.echo(f"\n{title}: {text}")


def _pages() -> dict[str, tuple[str, str, str]]:
    """Exit codes, what happened and what to do, by the code of the error."""
    page = resources.files("medallion_jobs.cli") / "errors.md"
    found = map(_ROW.fullmatch, page.read_text(encoding="utf-8").splitlines())
    return {
        match[1]: (match[2], match[3].replace("\\|", "|"), match[4].replace("\\|", "|"))
        for match in found
        if match
    }
