"""The command line: one short module for each command.

No module here imports pyspark when it is loaded; a command imports it when it is called. So
`status`, `files` and `query` start no JVM and answer in about a second.
"""

from __future__ import annotations

import os
import sys
import traceback

import typer

from medallion_jobs import __version__
from medallion_jobs.cli import checkpoint, config, files, quarantine, replay, runs, schema
from medallion_jobs.cli.check import check
from medallion_jobs.cli.destroy import destroy
from medallion_jobs.cli.doctor import doctor
from medallion_jobs.cli.drop import drop
from medallion_jobs.cli.explain import explain
from medallion_jobs.cli.generate import generate
from medallion_jobs.cli.graph import graph
from medallion_jobs.cli.init import init
from medallion_jobs.cli.load import load
from medallion_jobs.cli.maintain import maintain
from medallion_jobs.cli.plan import plan
from medallion_jobs.cli.quality import quality
from medallion_jobs.cli.query import query
from medallion_jobs.cli.rebuild import rebuild
from medallion_jobs.cli.rollback import rollback
from medallion_jobs.cli.run import run
from medallion_jobs.cli.setup import setup
from medallion_jobs.cli.status import status
from medallion_jobs.cli.stop import stop
from medallion_jobs.cli.test import test
from medallion_jobs.cli.validate import validate
from medallion_jobs.cli.verify import verify
from medallion_jobs.errors import MedallionError, TransientError, UsageError
from medallion_jobs.masking import masked
from medallion_jobs.storage import StoreError

app = typer.Typer(
    name="medallion",
    help="Files to bronze, silver and gold tables, on plain Spark and Delta Lake.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    init,
    generate,
    run,
    validate,
    test,
    plan,
    status,
    check,
    doctor,
    query,
    graph,
    quality,
    verify,
    replay.replay,
    rebuild,
    stop,
    load,
    maintain,
    drop,
    destroy,
    setup,
    explain,
):
    app.command()(command)
checkpoint.app.command()(rollback)
quarantine.app.command("replay")(replay.quarantined)
app.add_typer(runs.app, name="runs")
app.add_typer(files.app, name="files")
app.add_typer(checkpoint.app, name="checkpoint")
app.add_typer(config.app, name="config")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(schema.app, name="schema")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True),
) -> None:
    pass


def _user_error(error: StoreError) -> MedallionError:
    """The error to show, with its next step and exit code."""
    kind = TransientError if error.passes else UsageError
    return kind(
        f"{error.strerror}: {error.filename}",
        code="store_failed",
        untouched="nothing in the store was changed",
        next_step="run again once the store answers"
        if error.passes
        else "fix the bucket name, or the endpoint, region and keys in the AWS environment "
        "(AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_PROFILE or AWS_ACCESS_KEY_ID …)",
    )


def _in_utf8() -> None:
    """Starts this process again in UTF-8, if its locale has another encoding.

    Its files, arguments and output are UTF-8 then, as the config is, and as Delta's names are.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


def main() -> None:
    """Runs the command line; the exit code is that of the error, 3 for a bug."""
    _in_utf8()
    try:
        app(prog_name="medallion")
    except MedallionError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except StoreError as error:
        typer.echo(f"error: {_user_error(error)}", err=True)
        sys.exit(_user_error(error).exit_code)
    except BrokenPipeError:
        # The reader closed the pipe, as in `medallion query … | head`: this is not an error.
        sys.stderr.close()
        sys.exit(0)
    except Exception:
        typer.echo(masked(traceback.format_exc()), err=True)
        typer.echo(
            "error: this is a bug in medallion_jobs; the traceback above shows where", err=True
        )
        sys.exit(3)


__all__ = ["main"]
