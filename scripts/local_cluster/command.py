"""The command: `scripts/cluster up|status|down`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from local_cluster.standalone import Cluster, Size
from medallion_jobs.errors import MedallionError
from medallion_jobs.runtime.cache import cache_dir, from_home
from medallion_jobs.runtime.command_line import Parser


class NotRunning(MedallionError):
    """`status` found that the cluster, or a part of it, does not run."""

    exit_code = 1


def main(arguments: Sequence[str]) -> None:
    """Starts, shows or ends the cluster.

    Raises:
        MedallionError: the cluster could not be started, or, for `status`, does not run.
    """
    parser = Parser(prog="scripts/cluster", add_help=False, allow_abbrev=False)
    parser.add_argument("command", choices=("up", "status", "down"))
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=int, default=3)
    parser.add_argument("--memory", default="4g")
    parser.add_argument("--port", type=int, default=7077)
    parser.add_argument("--ui-port", type=int, default=8080)
    given = parser.parse_args(list(arguments))
    cluster = Cluster((given.dir or cache_dir() / "cluster").resolve())
    if given.command == "up":
        size = Size(given.workers, given.cores, given.memory)
        cluster.up(size, given.port, given.ui_port, _print)
    if given.command == "down":
        ended = cluster.down()
        _print(f"ended {', '.join(ended)}" if ended else "nothing was running")
    else:
        _show(cluster)


def _show(cluster: Cluster) -> None:
    state = cluster.state()
    if state is None:
        raise NotRunning(
            f"no master is running for {cluster.folder}",
            code="cluster_not_running",
            next_step=f"scripts/cluster up --dir {cluster.folder}",
        )
    _print(f"master      {cluster.settings.master}, pid {cluster.master.pid}, {cluster.ui}")
    for worker in cluster.workers:
        _print(f"{worker.name:<11} {f'pid {worker.pid}' if worker.pid else 'not running'}")
    _print(f"cores       {state['coresused']} of {state['cores']} in use")
    _print(f"memory      {state['memoryused']} of {state['memory']} MB in use")
    for app in state["activeapps"]:
        _print(f"application {app['name']}, {app['cores']} cores, {app['state'].lower()}")
    _print(f"logs        {from_home(cluster.folder)}")
    _print(
        "submit      scripts/submit bronze --config conf/sales.yaml -- "
        f"--properties-file {from_home(cluster.settings.for_jobs)}"
    )
    if any(worker.pid is None for worker in cluster.workers):
        raise NotRunning(
            "a worker is not running",
            code="cluster_not_running",
            next_step=f"scripts/cluster up --dir {cluster.folder}",
        )


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
