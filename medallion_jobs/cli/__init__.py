"""The command line: one file a command, each thin.

Nothing here, and nothing that a command imports before it is called, imports pyspark:
`status`, `files` and `query` answer in about a second because they start no JVM.
"""

from __future__ import annotations

import sys
import traceback

import typer

from medallion_jobs import __version__
from medallion_jobs.cli import checkpoint, config, files, quarantine, replay, schema
from medallion_jobs.cli.destroy import destroy
from medallion_jobs.cli.generate import generate
from medallion_jobs.cli.graph import graph
from medallion_jobs.cli.load import load
from medallion_jobs.cli.maintain import maintain
from medallion_jobs.cli.quality import quality
from medallion_jobs.cli.query import query
from medallion_jobs.cli.run import run
from medallion_jobs.cli.status import status
from medallion_jobs.cli.stop import stop
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
    generate,
    run,
    validate,
    status,
    query,
    graph,
    quality,
    verify,
    replay.replay,
    stop,
    load,
    maintain,
    destroy,
):
    app.command()(command)
quarantine.app.command("replay")(replay.quarantined)
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


def _of_store(error: StoreError) -> MedallionError:
    kind = TransientError if error.passes else UsageError
    return kind(
        f"{error.strerror}: {error.filename}",
        untouched="what lies there is as it was",
        next_step="run again once the store answers"
        if error.passes
        else "mend the name of the bucket, or what the AWS environment says of endpoint, region "
        "and keys (AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_PROFILE or AWS_ACCESS_KEY_ID …)",
    )


def main() -> None:
    """Runs the command line; the exit code is that of the error, 3 for a bug."""
    try:
        app(prog_name="medallion")
    except MedallionError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except StoreError as error:
        typer.echo(f"error: {_of_store(error)}", err=True)
        sys.exit(_of_store(error).exit_code)
    except BrokenPipeError:
        # The reader went away (`medallion query … | head`); that is its right.
        sys.stderr.close()
        sys.exit(0)
    except Exception:
        typer.echo(masked(traceback.format_exc()), err=True)
        typer.echo("error: this is a bug in medallion_jobs; what is above says where", err=True)
        sys.exit(3)
