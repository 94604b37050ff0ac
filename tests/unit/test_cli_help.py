"""`medallion` itself: what it offers, and how a run of it ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from medallion_jobs import __version__
from medallion_jobs.cli import app, main
from medallion_jobs.errors import DataError, LockHeld, UsageError

GROUPS = "runs files checkpoint config quarantine schema".split()  # noqa: SIM905
COMMANDS = (
    "init generate run validate test plan status check doctor query graph".split()  # noqa: SIM905
    + "quality verify replay rebuild stop load maintain drop destroy setup".split()  # noqa: SIM905
    + ["explain"]
    + GROUPS
)


def ends(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["medallion", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_help_lists_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(monkeypatch, "--help") == 0
    listed = capsys.readouterr().out.partition("Commands:")[2].splitlines()
    assert [line.split()[0] for line in listed if line.strip()] == COMMANDS
    assert all(len(line.split()) > 3 for line in listed if line.strip())


@pytest.mark.parametrize(
    "command",
    [
        *COMMANDS,
        "checkpoint reset",
        "runs show",
        "files retry",
        "config show",
        "schema diff",
        "quarantine replay",
    ],
)
def test_every_command_has_help(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(monkeypatch, *command.split(), "-h") == 0
    assert "Usage: medallion " + command in capsys.readouterr().out


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("words", [("nonsense",), ("status", "--nonsense"), ("query",)])
def test_wrong_use_is_2(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(monkeypatch, *words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Usage:" in told.err


def test_a_config_that_is_not_there_is_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "none.yaml")
    assert ends(monkeypatch, "status", "--config", file) == 2
    assert file in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("run", "--once", "--continuous"), "--continuous"),
        (("run", "--interval", "5s"), "--interval"),
    ],
)
def test_options_that_do_not_go_together_are_2(
    words: tuple[str, ...],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ends(monkeypatch, *words) == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DataError("rows lost", code="test", untouched="gold", next_step="look"), 1, "rows lost"),
        (UsageError("no such table", code="test"), 2, "no such table"),
        (LockHeld("runs already", holder={}), 75, "runs already"),
        (ValueError("oops"), 3, "bug"),
    ],
)
def test_each_error_has_its_exit_code(
    error: Exception,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("medallion_jobs.report.status.status", fails)
    monkeypatch.chdir(Path(__file__).parents[2])
    assert ends(monkeypatch, "status") == code
    told = capsys.readouterr()
    assert told.out == ""
    assert words in told.err
    # Only of a bug does a user get to see where in the code it happened.
    assert ("Traceback" in told.err) == (code == 3)


def test_nothing_registered_is_left_out_here() -> None:
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]
    groups = [str(group.name) for group in app.registered_groups]
    assert [*names, *groups] == COMMANDS
