"""`medallion replay` and `medallion quarantine replay`: rows put right after the fact."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    EnvOption,
    JsonOption,
    SetOption,
)
from medallion_jobs.cli.quarantine import (
    RuleOption,
    SinceOption,
    TableArgument,
    YesOption,
    table_of,
    wanted_of,
)
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medallion_jobs.config import Pipeline, TableRef

_STAY = {
    "quarantined": "still break a rule or find no match",
    "held": "would have to wait for a dimension",
    "dropped": "break a rule that drops rows",
    "left out": "have no match where one is demanded",
}


def quarantined(
    table: TableArgument,
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    env: EnvOption = None,
    overrides: SetOption = None,
    rule: RuleOption = None,
    since: SinceOption = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="Only this row; repeatable.")
    ] = None,
    set_column: Annotated[
        list[str] | None,
        typer.Option(help="Set a column of the row as it was; repeatable.", metavar="NAME=SQL"),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put rows back that are good now, each once; those that are not stay where they are."""
    from medallion_jobs.config import load
    from medallion_jobs.report import quarantine as report

    pipeline = load(config, env, overrides or ()).pipeline
    ref = table_of(pipeline, table)
    if ref.layer != "silver":
        raise UsageError(
            f"lines of {ref} are put back as a file: they are no rows yet",
            untouched="nothing was written",
            next_step=f"medallion quarantine export {ref} --to mended.json; mend it and land it; "
            f'then medallion quarantine dismiss {ref} --reason "landed again" --yes',
        )
    changes = dict(_change(one) for one in set_column or ())
    wanted = report.ids(pipeline, ref, wanted_of(pipeline, ref, rule, since, ids))

    from medallion_jobs.refine.quarantine import replay

    counts = replay.quarantined(pipeline, ref, wanted, changes, write=yes) if wanted else {}
    if as_json:
        typer.echo(json.dumps({"rows": len(wanted), **counts}))
    _tell(counts, ref, done=yes)


def replay(
    table: Annotated[str, typer.Argument(help="A silver table, or silver for all of them.")],
    *,
    missed_lookup: Annotated[
        str,
        typer.Option(help="The dimension whose keys came late.", metavar="customers"),
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    env: EnvOption = None,
    overrides: SetOption = None,
    yes: YesOption = False,
) -> None:
    """Put rows right, in the table itself, that were written before a dimension had their key."""
    from medallion_jobs.config import load

    pipeline = load(config, env, overrides or ()).pipeline

    from medallion_jobs.refine.quarantine import replay as replays

    dimension = _dimension(pipeline, missed_lookup)
    chosen = _tables(pipeline, table) or replays.tables_looking_into(pipeline, dimension)
    if not chosen:
        raise UsageError(f"no silver table has a lookup in {dimension} that leaves nulls")
    for ref in chosen:
        mended = replays.missed(pipeline, ref, dimension, write=yes)
        typer.echo(f"{ref}: {mended.rows:,} rows {'mended' if yes else 'can be mended'}")
        for reader in mended.restarted:
            typer.echo(f"{reader}: its next start makes the table anew from {ref}")
    typer.echo(
        "done; next: medallion run" if yes else "nothing was changed; add --yes to do it", err=True
    )


def _tell(counts: Mapping[str, int], ref: TableRef, *, done: bool) -> None:
    good = counts.get("good", 0)
    typer.echo(
        f"{good:,} rows {'went' if done else 'would go'} back to {ref}"
        + ("" if done else "; nothing was changed; add --yes to do it"),
        err=True,
    )
    for fate, words in _STAY.items():
        if counts.get(fate):
            typer.echo(f"{counts[fate]:,} rows stay: they {words}", err=True)


def _change(text: str) -> tuple[str, str]:
    name, equals, sql = text.partition("=")
    if not equals or not name.strip() or not sql.strip():
        raise UsageError(f"--set-column {text} is not NAME=SQL, such as quantity=1")
    return name.strip(), sql.strip()


def _dimension(pipeline: Pipeline, name: str) -> TableRef:
    known = dict.fromkeys(
        lookup.table for table in pipeline.silver.values() for lookup in table.lookups
    )
    found = [ref for ref in known if name in (str(ref), ref.name)]
    if len(found) != 1:
        raise UsageError(
            f"--missed-lookup {name} names {'no' if not found else 'more than one'} dimension "
            "of the config's lookups",
            next_step="one of: " + ", ".join(str(ref) for ref in known),
        )
    return found[0]


def _tables(pipeline: Pipeline, table: str) -> list[TableRef]:
    """The table of that name; none for the whole layer."""
    from medallion_jobs.config import TableRef

    if table == "silver":
        return []
    known = {f"silver.{name}": TableRef("silver", name) for name in pipeline.silver}
    if table not in known:
        raise UsageError(
            f"pipeline {pipeline.pipeline} has no table {table} to replay",
            next_step="one of: silver, " + ", ".join(known),
        )
    return [known[table]]
