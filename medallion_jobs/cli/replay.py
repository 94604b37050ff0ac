"""`medallion replay` and `medallion quarantine replay`: fixing rows after their batch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, JsonOption, YesOption, recorded, with_config
from medallion_jobs.cli.quarantine import (
    IdsOption,
    RuleOption,
    SinceOption,
    TableArgument,
    table_of,
    wanted_of,
)
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline, TableRef
    from medallion_jobs.refine.quarantine.redrive import Outcomes

# By outcome, why a row stays in quarantine.
_REASONS_TO_STAY = {
    "quarantined": "a rule is broken still, or a lookup finds no match",
    "held": "a dimension does not have the key yet",
    "dropped": "a rule that drops rows is broken",
    "left out": "an inner lookup finds no match",
}


@with_config
def quarantined(
    table: TableArgument,
    *,
    given: Given,
    rule: RuleOption = None,
    since: SinceOption = None,
    ids: IdsOption = None,
    set_column: Annotated[
        list[str] | None,
        typer.Option(help="Set a column of the original row; repeatable.", metavar="NAME=SQL"),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write rows that are valid now to their table, each once; the others stay."""
    from medallion_jobs.report import quarantine as report

    with recorded("quarantine replay", given, changes=yes) as recorder:
        pipeline = recorder.config(lambda: given.loaded).pipeline
        ref = _ref_of(pipeline, table)
        changes = dict(_change(text) for text in set_column or ())
        wanted = report.ids(pipeline, ref, wanted_of(pipeline, ref, rule, since, ids))

        from medallion_jobs.refine.quarantine import replay

        found = replay.quarantined(pipeline, ref, wanted, changes, write=yes)
    if as_json:
        more = {"broken": found.broken, "without_effect": list(found.without_effect)}
        shown = {name: value for name, value in more.items() if value}
        typer.echo(json.dumps({"rows": len(wanted), **found.counts, **shown}))
    _print_outcomes(found, ref, done=yes)


def _ref_of(pipeline: Pipeline, table: str) -> TableRef:
    """The table, if its rows can be written again.

    Raises:
        UsageError: it has lines or messages in quarantine, which can only arrive again.
    """
    ref = table_of(pipeline, table)
    if ref.layer == "bronze" and ref.name in pipeline.kafka_sources:
        raise UsageError(
            f"{ref} quarantines messages, not rows: they can only be sent again, to their topic",
            code="messages_cannot_be_replayed",
            untouched="nothing was written",
            next_step=f"medallion quarantine export {ref} --to fixed.json; fix them and send them; "
            f'then medallion quarantine dismiss {ref} --reason "sent again" --yes',
        )
    if ref.layer != "silver":
        raise UsageError(
            f"{ref} quarantines lines, not rows: they can only be landed again, as a file",
            code="lines_cannot_be_replayed",
            untouched="nothing was written",
            next_step=f"medallion quarantine export {ref} --to fixed.json; fix it and land it; "
            f'then medallion quarantine dismiss {ref} --reason "landed again" --yes',
        )
    return ref


@with_config
def replay(
    table: Annotated[str, typer.Argument(help="A silver table, or silver for all of them.")],
    *,
    missed_lookup: Annotated[
        str,
        typer.Option(help="The dimension whose keys arrived late.", metavar="customers"),
    ],
    given: Given,
    yes: YesOption = False,
) -> None:
    """Update rows of a table that were written before a dimension had their key."""
    with recorded("replay", given, changes=yes) as recorder:
        _replay(recorder.config(lambda: given.loaded).pipeline, table, missed_lookup, yes=yes)


def _replay(pipeline: Pipeline, table: str, missed_lookup: str, *, yes: bool) -> None:
    from medallion_jobs.observe.events import counted
    from medallion_jobs.refine.quarantine import replay as replays

    dimension = _dimension(pipeline, missed_lookup)
    chosen = _tables(pipeline, table) or replays.tables_looking_into(pipeline, dimension)
    if not chosen:
        raise UsageError(
            f"no silver table has a lookup in {dimension} that can be filled later",
            code="no_lookup_to_backfill",
        )
    for ref in chosen:
        backfill = replays.missed(pipeline, ref, dimension, write=yes)
        rows = counted(backfill.rows, "row")
        typer.echo(f"{ref}: {rows} {'updated' if yes else 'can be updated'}")
        for reader in backfill.restarted:
            typer.echo(f"{reader}: its next start rebuilds the table from {ref}")
    typer.echo(
        "done; next: medallion run" if yes else "nothing was changed; add --yes to do it", err=True
    )


def _print_outcomes(found: Outcomes, ref: TableRef, *, done: bool) -> None:
    from medallion_jobs.observe.events import counted

    good = counted(found.counts.get("good", 0), "row")
    typer.echo(
        f"{good} {'went' if done else 'would go'} back to {ref}"
        + ("" if done else "; nothing was changed; add --yes to do it"),
        err=True,
    )
    for outcome, reason in _REASONS_TO_STAY.items():
        if count := found.counts.get(outcome):
            stay = "stays" if count == 1 else "stay"
            typer.echo(f"{counted(count, 'row')} {stay} in quarantine: {reason}", err=True)
    for rule, count in sorted(found.broken.items()):
        typer.echo(f"  {rule}: {counted(count, 'row')}", err=True)
    for name in found.without_effect:
        typer.echo(f"--set-column {name} has no effect: every row has this value already", err=True)


def _change(text: str) -> tuple[str, str]:
    name, equals, sql = text.partition("=")
    if not equals or not name.strip() or not sql.strip():
        raise UsageError(
            f"--set-column {text} is not NAME=SQL, such as quantity=1", code="invalid_set_column"
        )
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
            code="ambiguous_dimension",
            next_step="one of: " + ", ".join(str(ref) for ref in known),
        )
    return found[0]


def _tables(pipeline: Pipeline, table: str) -> list[TableRef]:
    """The table of this name, or an empty list for the whole layer."""
    from medallion_jobs.config import TableRef

    if table == "silver":
        return []
    known = {f"silver.{name}": TableRef("silver", name) for name in pipeline.silver}
    if table not in known:
        raise UsageError(
            f"pipeline {pipeline.pipeline} has no table {table} to replay",
            code="unknown_table",
            next_step="one of: silver, " + ", ".join(known),
        )
    return [known[table]]
