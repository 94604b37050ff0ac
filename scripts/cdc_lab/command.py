"""The command: `scripts/cdc-lab up|load|status|latency|draw|down`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cdc_lab import drawing, latency
from cdc_lab.lab import Lab, NotRunning
from cdc_lab.postgres import USER
from cdc_lab.workload import Workload
from medallion_jobs.config import load as load_config
from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.cache import cache_dir, from_home
from medallion_jobs.runtime.command_line import Parser

_CONFIG = Path(__file__).parents[2] / "conf" / "orders_cdc.yaml"
_PORTS = {"postgres": 25432, "kafka": 29092, "connect": 28083}


def main(arguments: Sequence[str]) -> None:
    """Starts, loads, shows or ends the lab.

    Raises:
        MedallionError: a server does not start, or, for `load` and `status`, does not run.
    """
    parser = Parser(prog="scripts/cdc-lab", add_help=False, allow_abbrev=False)
    parser.add_argument("command", choices=("up", "load", "status", "latency", "draw", "down"))
    parser.add_argument("--dir", type=Path)
    for name, port in _PORTS.items():
        parser.add_argument(f"--{name}-port", type=int, default=port)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--changes", type=int, default=500)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alter", action="store_true")
    parser.add_argument("--lake", default="./lake")
    parser.add_argument("--table", default="orders")
    parser.add_argument("--out", type=Path, default=Path("turnover.svg"))
    parser.add_argument("--remove", action="store_true")
    given = parser.parse_args(list(arguments))
    lab = Lab(
        given.dir or cache_dir() / "cdc-lab",
        ports=(given.postgres_port, given.kafka_port, given.connect_port),
        partitions=given.partitions,
        report=_print,
    )
    if given.command == "up":
        lab.up(_properties(given.set))
        _show(lab)
    elif given.command == "load":
        _load(lab, given.changes, given.rate, given.seed, given.alter)
    elif given.command == "status":
        _show(lab)
    elif given.command == "latency":
        pipeline = load_config(
            _CONFIG, None, [f"storage.root={given.lake}"], loads_sinks=False
        ).pipeline
        for found in latency.measured(pipeline, given.table):
            _print(str(found))
    elif given.command == "draw":
        lab.running(lab.postgres)
        rows = drawing.turnover(lab.postgres)
        title = "Turnover by day: orders that are paid or sent"
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(drawing.bars(rows, title), encoding="utf-8")
        _print(f"{len(rows)} days drawn: {given.out}")
    elif given.remove:
        lab.remove()
        _print(f"ended, and {from_home(lab.folder)} removed")
    else:
        ended = lab.down()
        _print(f"ended {', '.join(ended)}" if ended else "nothing was running")


def _properties(given: Sequence[str]) -> dict[str, object]:
    for one in given:
        if "=" not in one:
            raise UsageError(
                f"--set {one} has no value",
                code="invalid_command_line",
                untouched="nothing was started",
                next_step="--set KEY=VALUE, such as --set decimal.handling.mode=string",
            )
    return {key: value for key, _, value in (one.partition("=") for one in given)}


def _load(lab: Lab, changes: int, rate: float, seed: int, alter: bool) -> None:
    lab.running(lab.postgres)
    began = time.monotonic()
    load = Workload(lab.postgres, seed=seed, rate=rate, alter=alter)
    load.run(changes)
    for what, count in sorted(load.counts.items()):
        _print(f"{count:>7}  {what}")
    _print(f"{load.done:>7}  changes in {time.monotonic() - began:.1f} s, seed {seed}")


def _show(lab: Lab) -> None:
    for server in lab.servers:
        running = f"pid {server.pid}, {server.address}" if server.pid else "not running"
        _print(f"{server.name:<11} {running}")
    lab.running()
    states = lab.connector_states()
    _print(f"connector   {', task '.join(state.lower() for state in states) or 'none'}")
    slot = lab.slot()
    if slot:
        _print(f"slot        {'read' if slot[0] else 'not read'}, {slot[1]} bytes behind")
    for topic, records in lab.ends().items():
        _print(f"topic       {topic:<26} {records} records")
    _print(f"logs        {from_home(lab.folder)}/*.log")
    _print(
        f"psql        PGPASSWORD=$(cat {from_home(lab.folder)}/postgres.password) psql "
        f"-h 127.0.0.1 -p {lab.postgres.port} -U {USER} {lab.postgres.database}"
    )
    if not slot or not slot[0] or set(states) != {"RUNNING"}:
        raise NotRunning(
            "the connector does not follow the database",
            code="lab_not_running",
            untouched="the database and the topics",
            next_step=f"scripts/cdc-lab up --dir {lab.folder}; its log is {lab.connect.log}",
        )


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
