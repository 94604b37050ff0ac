#!/usr/bin/env python3
"""Measures medallion_jobs beside its rivals, in one run and in turns.

scripts/bench/run.py all              S1 to S4, S7 and S8; with --long S5 and S6, too
scripts/bench/run.py s1 s4            some of them
scripts/bench/run.py page             nothing is measured: the page of the results that are there

A time counts only if the results are right. The exit code is 1 when something failed or a floor is
missed. `medallion` is the one on PATH, else the one beside this Python. Nothing else should run on
the machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from bench import environment, floors, page
from bench.processes import Failed
from bench.scenarios import ALSO, LONG, MEASURES, Asked, measure


def main() -> int:
    """Runs what is asked for; returns the exit code."""
    options = _options()
    try:
        return _run(options)
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    results: dict[str, Any] = {"scenarios": {}}
    if options.json and options.json.exists():
        results = json.loads(options.json.read_text(encoding="utf-8"))
    now: dict[str, Any] = {}
    failed = False
    chosen = _chosen(options.scenarios, options.long)
    if chosen:
        environment.set_up()
        results["machine"] = environment.machine()
        results["versions"] = environment.versions(environment.rivals_python())
    for name in chosen:
        print(f"{name}", flush=True)
        try:
            with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as made:
                found = measure(name, _asked(options), Path(made))
        except Failed as error:
            print(f"{name} failed: {error}", file=sys.stderr, flush=True)
            failed = True
            continue
        results["scenarios"][name] = now[name] = found
        _save(results, options)
    if not chosen and options.page:
        options.page.write_text(page.page(results), encoding="utf-8")
    print(page.tables({"scenarios": now}))
    missed = [one for one in floors.judged({"scenarios": now}) if one.met is False]
    for one in missed:
        print(f"missed: {one.scenario}: {one.text}: {one.found} ({one.limit})")
    return 1 if failed or missed else 0


def _save(results: dict[str, Any], options: argparse.Namespace) -> None:
    """After each scenario: what was measured outlives a run that is ended."""
    if options.json:
        text = json.dumps(results, indent=1, sort_keys=True) + "\n"
        options.json.write_text(text, encoding="utf-8")
    if options.page:
        options.page.write_text(page.page(results), encoding="utf-8")


def _chosen(names: list[str], long: bool) -> list[str]:
    if "all" in names:
        return [name for name in MEASURES if long or name not in LONG]
    wanted = {ALSO.get(name, name) for name in names}
    return [name for name in MEASURES if name in wanted]


def _asked(options: argparse.Namespace) -> Asked:
    return Asked(
        rounds=options.rounds or (1 if options.quick else 3),
        quick=options.quick,
        long=options.long,
        only=tuple(options.only.split(",")) if options.only else (),
        files=options.files,
        rows=options.rows,
        minutes=options.minutes,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ["all", "page", *MEASURES, *ALSO]
    parser.add_argument("scenarios", nargs="+", choices=known, metavar="all|page|s1|…|s8")
    parser.add_argument("--rounds", type=int, help="of each contender (3; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="small sizes: does all work?")
    parser.add_argument("--long", action="store_true", help="S5 and S6 in full size, for hours")
    parser.add_argument("--only", metavar="A,B", help="these rivals, and ours")
    parser.add_argument("--files", type=int, help="S5: files of the large lake")
    parser.add_argument("--rows", type=int, help="S5: silver rows of the large lake")
    parser.add_argument("--minutes", type=float, help="S6: how long the rate is held")
    parser.add_argument("--json", type=Path, help="add the results to this file")
    parser.add_argument("--page", type=Path, help="write the page of all results to this file")
    parser.add_argument("--folder", type=Path, help="where all is made (a temp folder)")
    options = parser.parse_args()
    if "page" in options.scenarios and not options.json:
        parser.error("page: --json FILE has the results")
    return options


if __name__ == "__main__":
    sys.exit(main())
