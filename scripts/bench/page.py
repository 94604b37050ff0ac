"""`docs/performance.md`, and the tables in the terminal, from the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.contenders import OURS
from bench.figures import Figure, ratio
from bench.floors import judged

Results = dict[str, Any]

_HEAD = """\
# Performance

This page is the output of `scripts/bench/run.py all`; `scripts/bench/run.py page` writes it again
from the results.json beside it. Do not edit it.

Ours and its rivals run on the same machine in the same run, in turns (A B C, A B C), each from its
own command until the prompt is back. Gold of each is compared with what DuckDB computes from the
files; a time counts only if they are equal. Numbers are medians, with the least and the most
behind them. A ratio is taken round by round, so that both of its sides had the same machine. Ratios
hold elsewhere; seconds do not. The rivals are in `scripts/bench/rivals/`, each written as the guide
of its makers shows it.
"""
_QUICK = "**A quick run: small sizes, and no claim. It shows only that all of it works.**"
_TITLES = {
    "s1": "S1: the first run",
    "s2": "S2: ten small files, from the shell",
    "s3": "S3: continuous mode",
    "s4": "S4: many small files",
    "s5": "S5: a lake that has grown",
    "s6": "S6: a rate that holds",
    "s7": "S7: formats and widths",
    "s8": "S8: memory",
}
# Why a rival is faster. The page says it only where one is.
_WHY = {
    "duckdb": "DuckDB starts in a tenth of a second, has no log to write and checks nothing: it is"
    " what the work itself costs. It keeps no list of files, so each run reads all of them.",
    "polars": "Polars starts at once and reads JSON in native code on all cores. It has no"
    " transactions over several tables: a crash between two layers leaves rows missing or twice. A"
    " line that is no record ends the load, and a batch has to fit in memory.",
    "dlt": "dlt starts no JVM. Silver and gold are the user's own code (here DuckDB in memory), and"
    " no transaction spans a layer and what it has read. A value of another type gets a column of"
    " its own, and a line that is no JSON ends the load.",
    "declarative": "Spark Declarative Pipelines run their tables in one session and keep no account"
    " of the records of each file.",
    "notebook_tuned": "The notebook parses each line once and keeps no account: what does not fit"
    " becomes null, without a trace.",
    "notebook_default": "The notebook parses each line once and keeps no account: what does not fit"
    " becomes null, without a trace.",
    "reference": "It reads and writes one table once; ours commits to three, and to its ledger.",
}


def page(results: Results) -> str:
    """The page."""
    parts = [_HEAD, *_machine(results), _floors(results), tables(results), _why(results)]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def tables(results: Results) -> str:
    """A section for each scenario that was measured."""
    sections = []
    for name, shown in _SECTIONS.items():
        found = results["scenarios"].get("s1" if name == "s8" else name)
        if not found:
            continue
        lines = [f"## {_TITLES[name]}", ""]
        if found["quick"]:
            lines += [_QUICK, ""]
        lines += [*shown(found), "", _how(found), ""]
        sections.append("\n".join(lines))
    return "\n".join(sections)


def _machine(results: Results) -> Iterator[str]:
    if "machine" not in results:
        return
    has = results["machine"]
    yield f"{has['cores']} cores, {has['memory_gib']} GiB of memory, {has['system']}."
    versions = [f"{name} {version}" for name, version in results["versions"].items()]
    yield f"{', '.join(versions)}.\n"


def _how(found: Results) -> str:
    before, after = found["load"]
    return (
        f"{_count(found['rounds'], 'round')}, {found['started']} UTC, {found['took'] / 60:.1f}"
        f" minutes; load before {_load(before)}, after {_load(after)}."
    )


def _load(load: float | None) -> str:
    return "unknown" if load is None else f"{load:.1f}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in head[1:])]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def _floors(results: Results) -> str:
    floors = judged(results)
    if not floors:
        return ""
    answers = {True: "met", False: "**missed**", None: "not judged"}
    rows = [
        [f"{one.scenario.upper()}: {one.text}", one.limit, one.found, answers[one.met]]
        for one in floors
    ]
    lines = ["## Floors", "", *_table(["", "floor", "measured", ""], rows), ""]
    return "\n".join(lines)


# A section for each scenario


def _first_load(found: Results) -> list[str]:
    size = f"{found['files']:,} files of {_count(found['rows'], 'row')}, {found['mb']:,} MB"
    head = f"{size} of JSON lines, into an empty lake: from files to gold."
    seconds = found["seconds"]
    if "duckdb" in seconds:
        times = ratio(seconds[OURS], seconds["duckdb"]).shown(1)
        head += f" Ours takes {times} times as long as DuckDB alone, which is the floor."
    return [head, "", *_contenders(found, found["files"] * found["rows"])]


def _increment(found: Results) -> list[str]:
    head = (
        f"{found['files']} files of {found['rows']} rows land in a lake that has read others. The"
        " clock runs from the prompt to the prompt."
    )
    return [head, "", *_contenders(found)]


def _contenders(found: Results, rows: int | None = None) -> list[str]:
    """A row for each, the quickest first."""
    seconds = found["seconds"]
    head = ["", "seconds", "times ours"] + (["rows a second"] if rows else [])
    lines = []
    for name in sorted(seconds, key=lambda one: Figure.of(seconds[one]).middle):
        figure = Figure.of(seconds[name])
        title = found["titles"][name]
        against = "1" if name == OURS else ratio(seconds[name], seconds[OURS]).shown(2)
        line = [f"**{title}**" if name == OURS else title, figure.shown(1), against]
        lines.append(line + ([f"{rows / figure.middle:,.0f}"] if rows else []))
    failed = [
        f"* {found['titles'][name]} takes no part: {why}" for name, why in found["failed"].items()
    ]
    return [*_table(head, lines), *(["", *failed] if failed else [])]


def _memory(found: Results) -> list[str]:
    peaks = found["peak_mib"]
    head = (
        "The most memory that the whole process tree had in S1; a page that processes share counts"
        " once."
    )
    rows = [
        [found["titles"][name], Figure.of(peaks[name]).shown(0)]
        for name in sorted(peaks, key=lambda one: Figure.of(peaks[one]).middle)
    ]
    return [head, "", *_table(["", "MiB"], rows)]


def _continuous(found: Results) -> list[str]:
    head = (
        f"Files of {found['rows']} rows land while `medallion run --continuous --interval 1s`"
        " runs. The lag is the time from a file's rename until delta-rs reads its rows in gold."
    )
    rows = [[f"{pace} a second", *_lag(lag)] for pace, lag in found["paces"].items()]
    return [head, "", *_table(["files", *_LAG], rows)]


_LAG = ("in gold", "p50", "p99", "first third", "last third")


def _lag(lag: Results) -> list[str]:
    """Cells for the columns of `_LAG`."""
    names = ("p50", "p99", "first_third", "last_third")
    times = [f"{lag[name]:.2f} s" if name in lag else "" for name in names]
    return [f"{lag['visible']:,} of {lag['files']:,}", *times]


def _growth(found: Results) -> list[str]:
    head = (
        "S2 again, by how much the lake has read before. Bronze has one row of each file; delta-rs"
        " added silver's other rows."
    )
    rows = [
        [found["titles"][name], Figure.of(seconds).shown(1)]
        for name, seconds in found["seconds"].items()
    ]
    made = [f"{size}: {seconds:,.0f} s" for size, seconds in found["made_in"].items()]
    return [head, "", *_table(["", "seconds"], rows), "", f"To make the lakes: {'; '.join(made)}."]


def _sustained(found: Results) -> list[str]:
    head = (
        "One file a second, each with more rows, until the lag grows; then the highest rate that"
        f" held for {found['minutes']:g} minutes."
    )
    rows = [[f"{int(rate):,}", *_lag(lag)] for rate, lag in found["tried"].items()]
    rows.append([f"**{found['rate']:,}**, held", *_lag(found["held"])])
    memory = ", ".join(f"{used:,}" for used in found["memory_mib"])
    table = _table(["rows a second", *_LAG], rows)
    return [head, "", *table, "", f"MiB of the whole process tree, by minute: {memory}."]


def _formats(found: Results) -> list[str]:
    head = (
        "Bronze alone, beside `spark.readStream` with the schema given and Spark's defaults, in one"
        f" warm JVM, {found['files']:,} files of each."
    )
    rows = []
    for name, shape in found["shapes"].items():
        if "failed" in shape:
            rows.append([name, "", "", "**failed**", "", ""])
            continue
        seconds = shape["seconds"]
        rows.append(
            [
                name,
                f"{shape['rows']:,}",
                f"{shape['mb']:,}",
                *(Figure.of(seconds[side]).shown(2) for side in (OURS, "spark")),
                ratio(seconds["spark"], seconds[OURS]).shown(2, " x"),
            ]
        )
    columns = ["", "rows", "MB", "seconds, ours", "seconds, Spark's", "ours is as fast"]
    return [head, "", *_table(columns, rows)]


_SECTIONS = {
    "s1": _first_load,
    "s2": _increment,
    "s3": _continuous,
    "s4": _first_load,
    "s5": _growth,
    "s6": _sustained,
    "s7": _formats,
    "s8": _memory,
}


def _why(results: Results) -> str:
    """Which rivals are faster, where, and why."""
    places: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for name in ("s1", "s2", "s4"):
        found = results["scenarios"].get(name)
        if not found or found["quick"]:
            continue
        titles |= found["titles"]
        for rival, seconds in found["seconds"].items():
            if rival in _WHY and ratio(seconds, found["seconds"][OURS]).middle < 1:
                times = ratio(found["seconds"][OURS], seconds).shown(1, " x")
                places.setdefault(rival, []).append(f"{name.upper()} {times}")
    if not places:
        return ""
    lines = ["## Where rivals are faster", ""]
    for rival, where in places.items():
        lines.append(f"* **{titles[rival]}** ({', '.join(where)}): {_WHY[rival]}")
    return "\n".join(lines)
