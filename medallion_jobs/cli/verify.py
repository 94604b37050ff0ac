"""`medallion verify`: checks tables against their sources."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import ExcludeOption, Given, JsonOption, SelectOption, with_config
from medallion_jobs.cli.output import print_rows
from medallion_jobs.errors import MedallionError, UsageError

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline, TableRef
    from medallion_jobs.report.verify.check import Audit
    from medallion_jobs.report.verify.gold import Comparison, Difference
    from medallion_jobs.report.verify.pairs import Pair

_LABELS = {
    "missing": "missing from gold",
    "extra": "extra in gold",
    "repeated": "more than once in gold",
    "different": "different",
}


@with_config
def verify(
    table: Annotated[
        str | None, typer.Argument(help="As gold.NAME; default: all gold tables.")
    ] = None,
    *,
    given: Given,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", help="Also check bronze against the ledger, and the row counts of silver."
        ),
    ] = False,
    select: SelectOption = None,
    exclude: ExcludeOption = None,
    show: Annotated[int, typer.Option(min=1, help="Maximum number of differences to show.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Compute gold from silver again and compare; exit 1 if they differ, 2 if not comparable.

    It takes no lock and changes nothing.
    """
    from medallion_jobs.config import Selection
    from medallion_jobs.report.verify import lake

    pipeline = given.pipeline
    selection = Selection(select or (), exclude or ())
    if table and selection:
        raise UsageError(
            "a table and --select or --exclude exclude each other",
            code="options_exclude_each_other",
            untouched="nothing was compared",
        )
    chosen = (
        lake.selected(pipeline, selection, layers=layers)
        if selection
        else lake.chosen(pipeline, table, layers=layers)
    )
    failures: list[MedallionError] = []
    audits: list[Audit] = []
    for found in lake.audits(pipeline, chosen.layers, show) if chosen.layers else ():
        if isinstance(found, MedallionError):
            failures.append(found)
        else:
            audits.append(found)
    compared = list(_compared(pipeline, chosen.gold, show, failures))
    if as_json:
        _print_json(audits, compared, failures)
    else:
        _print_audits(audits)
        for pair, comparison in compared:
            _print_comparison(pair, comparison)
    _end(all(a.is_right for a in audits) and not any(c.differing for _, c in compared), failures)


def _end(is_right: bool, failures: Sequence[MedallionError]) -> None:
    """Sets the exit code: differences take precedence over failed comparisons."""
    for failure in failures if not is_right else failures[1:]:
        typer.echo(f"error: {failure}", err=True)
    if not is_right:
        raise typer.Exit(1)
    if failures:
        raise failures[0]


def _compared(
    pipeline: Pipeline, wanted: Sequence[TableRef], show: int, failures: list[MedallionError]
) -> Iterator[tuple[Pair, Comparison]]:
    if not wanted:
        return
    from medallion_jobs import gold
    from medallion_jobs.engine import session
    from medallion_jobs.report.verify.pairs import compare, pair_of

    pairs = []
    for stream in gold.streams(pipeline):
        if stream.ref in wanted:
            try:
                pairs.append(
                    (stream.aggregation, pair_of(pipeline, stream.ref, stream.claim.logic))
                )
            except MedallionError as error:
                failures.append(error)
    if not pairs:
        return
    spark = session.build(pipeline)
    for aggregation, pair in pairs:
        try:
            yield pair, compare(spark, pair, aggregation, show)
        except MedallionError as error:
            failures.append(error)


def _print_audits(audits: Sequence[Audit]) -> None:
    if not audits:
        return
    rows = [
        (
            audit.table,
            audit.of,
            check.what,
            check.expected,
            check.found,
            _result(check.is_right, check.unknown),
            ", ".join(f"{count:,} {what}" for what, count in check.parts.items()) or None,
        )
        for audit in audits
        for check in audit.checks
    ]
    print_rows(("table", "against", "counted", "should be", "is", "result", "made of"), rows)
    wrong = [
        (audit.table, check.what, mismatch.where, mismatch.expected, mismatch.found)
        for audit in audits
        for check in audit.checks
        for mismatch in check.mismatches
    ]
    if wrong:
        print_rows(("table", "counted", "where", "should be", "is"), wrong)
    for audit in audits:
        for remark in audit.remarks:
            typer.echo(f"{audit.table}: {remark}", err=True)


def _result(is_right: bool, unknown: int) -> str:
    from medallion_jobs.observe.events import counted

    if not is_right:
        return "wrong"
    return f"right, except for {counted(unknown, 'row')} not counted" if unknown else "right"


def _print_comparison(pair: Pair, found: Comparison) -> None:
    source = f"{pair.source} at version {pair.source_version}"
    gold = f"{pair.table} at version {pair.version}: {found.gold:,} groups"
    if not found.differing:
        typer.echo(f"{gold}, equal to {source}{_tolerance(found)}")
        return
    typer.echo(f"{gold}, {found.differing:,} different from {source}{_tolerance(found)}")
    columns = ("group", "what", "column", "gold", pair.source.layer)
    print_rows(columns, [row for difference in found.shown for row in _rows_of(difference)])
    totals = [f"{count:,} {_LABELS[what]}" for what, count in found.counts.items()]
    totals += [f"{count:,} in {column}" for column, count in found.columns.items()]
    typer.echo(f"{', '.join(totals)}; {len(found.shown):,} shown")


def _tolerance(found: Comparison) -> str:
    if not found.tolerant:
        return ""
    return f" ({', '.join(found.tolerant)}: to 1 part in 1,000,000,000)"


def _rows_of(difference: Difference) -> Iterator[tuple[str | None, ...]]:
    from medallion_jobs.observe.events import counted

    group = _pairs(difference.group)
    if difference.what == "different":
        for column, (gold, source) in difference.values.items():
            yield group, difference.what, column, _cell(gold), _cell(source)
        return
    gold, source = (
        _pairs({column: pair[side] for column, pair in difference.values.items()})
        for side in (0, 1)
    )
    if difference.what == "repeated":
        yield group, _LABELS[difference.what], None, counted(difference.copies, "row"), None
    else:
        is_missing = difference.what == "missing"
        yield (
            group,
            _LABELS[difference.what],
            None,
            *((None, source) if is_missing else (gold, None)),
        )


def _cell(value: str | None) -> str:
    return "null" if value is None else value


def _pairs(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name}={_cell(value)}" for name, value in values.items())


def _print_json(
    audits: Sequence[Audit],
    compared: Sequence[tuple[Pair, Comparison]],
    failures: Sequence[MedallionError],
) -> None:
    layers = [
        {
            **asdict(audit),
            "right": audit.is_right,
            "checks": [{**asdict(check), "right": check.is_right} for check in audit.checks],
        }
        for audit in audits
    ]
    gold = [
        {
            "table": str(pair.table),
            "version": pair.version,
            "source": str(pair.source),
            "source_version": pair.source_version,
            "batch": pair.batch,
            "groups": found.gold,
            "source_groups": found.source,
            "right": not found.differing,
            **{what: found.counts.get(what, 0) for what in _LABELS},  # type: ignore[call-overload]
            "columns": found.columns,
            "tolerant": found.tolerant,
            "differences": [asdict(difference) for difference in found.shown],
        }
        for pair, found in compared
    ]
    failed = [{"why": failure.what, "next": failure.next_step} for failure in failures]
    report = {
        "right": all(layer["right"] for layer in [*layers, *gold]) and not failed,
        "layers": layers,
        "gold": gold,
        "not_compared": failed,
    }
    typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
