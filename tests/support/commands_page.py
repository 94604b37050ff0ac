"""docs/commands.md, made of the commands themselves.

cd tests && ../.venv/bin/python -m support.commands_page > ../docs/commands.md
"""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from medallion_jobs.cli import app

_HEAD = """# Commands

This page is what each command says with `--help`. [Config](config.md) has the keys of a pipeline's
file, [Errors](errors.md) the exit codes and every error.

Most commands are about one pipeline, and take these options:

{}
A command that would change or remove rows only shows what it would do, until it is given `--yes`.
"""
# On each command that is about a pipeline: they are shown once.
_SHARED = ("--config", "--env", "--set")


def page() -> str:
    root: Any = typer.main.get_command(app)
    context = root.make_context("medallion", ["status"], resilient_parsing=True)
    status = root.commands["status"]
    shared = [param for param in status.params if {*_SHARED} & {*param.opts}]
    sections = [_HEAD.format(_table(shared, context)), _overview(root.commands)]
    for name, command in root.commands.items():
        sections += _sections(f"medallion {name}", command, context)
    return "\n".join(sections)


def _overview(commands: dict[str, Any]) -> str:
    lines = ["| command | |", "|---|---|"]
    for name, command in commands.items():
        lines.append(f"| [{name}](#medallion-{name}) | {_cell(_first_sentence(command))} |")
    return "\n".join(lines) + "\n"


def _sections(name: str, command: Any, context: Any) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    level = "##" if name.count(" ") == 1 else "###"
    words = [name, *command.collect_usage_pieces(context)]
    yield f"{level} {name}\n"
    yield _text(command) + "\n"
    if not inner or command.invoke_without_command:
        yield f"    {' '.join(words)}\n"
        own = [param for param in command.params if not {*_SHARED, "--help"} & {*param.opts}]
        if own:
            yield _table(own, context)
        if len(own) < len([param for param in command.params if "--help" not in param.opts]):
            yield "Also " + ", ".join(f"`{option}`" for option in _SHARED) + ".\n"
    for sub, subcommand in inner.items():
        yield from _sections(f"{name} {sub}", subcommand, context)


def _table(params: list[Any], context: Any) -> str:
    lines = ["| | |", "|---|---|"]
    for param in params:
        record = param.get_help_record(context)
        if record:
            # As HTML: readers of Markdown do not agree on a bar within a code span in a table.
            option = html.escape(record[0]).replace("|", "&#124;")
            lines.append(f"| <code>{option}</code> | {_cell(record[1])} |")
    return "\n".join(lines) + "\n"


def _text(command: Any) -> str:
    return _plain(inspect.cleandoc(command.help or ""))


def _first_sentence(command: Any) -> str:
    return _text(command).partition("\n\n")[0]


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", _plain(text)).replace("|", "\\|").strip()


def _plain(text: str) -> str:
    """Text that Markdown takes as it stands, but for code."""
    return re.sub(r"(?<!\\)\*", r"\\*", text).replace("<", "&lt;")


if __name__ == "__main__":
    print(page(), end="")
