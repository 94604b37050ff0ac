"""The page of all commands is made of the commands."""

from __future__ import annotations

from support.commands_page import page
from support.pages import ROOT


def test_the_page_is_what_the_commands_say() -> None:
    """`support/commands_page.py` says how to make it again."""
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == page()
