"""The command: `scripts/cluster up|status|down`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from medallion_jobs.errors import MedallionError
from medallion_jobs.runtime.cache import cache_dir, from_home
from medallion_jobs.runtime.cluster.standalone import Cluster, Size
from medallion_jobs.runtime.command_line import Parser


class NotRunning(MedallionError):
    """`status` of a cluster that does not run, or not all of it."""

    exit_code = 1


def main(words: Sequence[str]) -> None:
    """Starts, shows or ends the cluster.

    Raises:
        MedallionError: it could not be started, or, for `status`, does not run.
    """
    parser = Parser(prog="scripts/cluster", add_help=False, allow_abbrev=False)
    parser.add_argument("command", choices=("up", "status", "down"))
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=int, default=3)
    parser.add_argument("--memory", default="4g")
    parser.add_argument("--port", type=int, default=7077)
    parser.add_argument("--ui-port", type=int, default=8080)
    given = parser.parse_args(list(words))
    cluster = Cluster((given.dir or cache_dir() / "cluster").resolve())
    if given.command == "up":
        size = Size(given.workers, given.cores, given.memory)
        cluster.up(size, given.port, given.ui_port, _say)
    if given.command == "down":
        ended = cluster.down()
        _say(f"ended {', '.join(ended)}" if ended else "nothing of it ran")
    else:
        _show(cluster)


def _show(cluster: Cluster) -> None:
    told = cluster.state()
    if told is None:
        raise NotRunning(
            f"no master runs for {cluster.folder}",
            next_step=f"scripts/cluster up --dir {cluster.folder}",
        )
    _say(f"master      {cluster.settings.master}, pid {cluster.master.pid}, {cluster.ui}")
    for worker in cluster.workers:
        _say(f"{worker.name:<11} {f'pid {worker.pid}' if worker.pid else 'does not run'}")
    _say(f"cores       {told['coresused']} of {told['cores']} in use")
    _say(f"memory      {told['memoryused']} of {told['memory']} MB in use")
    for app in told["activeapps"]:
        _say(f"application {app['name']}, {app['cores']} cores, {app['state'].lower()}")
    _say(f"logs        {from_home(cluster.folder)}")
    _say(
        "submit      scripts/submit bronze --config conf/sales.yaml -- "
        f"--properties-file {from_home(cluster.settings.for_jobs)}"
    )
    if any(worker.pid is None for worker in cluster.workers):
        raise NotRunning(
            "a worker does not run", next_step=f"scripts/cluster up --dir {cluster.folder}"
        )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
