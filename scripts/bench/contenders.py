"""Who takes part: how each is prepared and started, and where its gold table is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.environment import HERE, ROOT, medallion, rivals_environment
from bench.inputs import Gold, Input, read_gold
from bench.processes import Failed, Measured, run

OURS = "medallion"
BERLIN = "medallion_berlin"
CONFIG = ROOT / "conf" / "sales.yaml"
DELTA_PACKAGE = "io.delta:delta-spark_4.2_2.13:4.4.0"
_SESSION = (
    "spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog",
)


@dataclass(frozen=True)
class Contender:
    """One that loads an input into a work folder.

    Attributes:
        name: its key in the results.
        title: what the page calls it.
        lines: the commands that load all that is new, one after the other.
        gold: the gold table, below the work folder; None if it makes none.
        prepare: what a work folder has before the clock starts.
        environment: on top of this process's.
        beginner: one that makes the same tables, and takes less time for a first load.
    """

    name: str
    title: str
    lines: Callable[[Input, Path], Sequence[Sequence[str]]]
    gold: str | None = "gold"
    prepare: Callable[[Input, Path], None] = lambda _, work: work.mkdir(parents=True)
    environment: Mapping[str, str] = field(default_factory=dict)
    beginner: Contender | None = None

    def load(self, source: Input, work: Path) -> Measured:
        """Loads what is new; a work folder that is not there is prepared first.

        Raises:
            Failed: a process of it failed.
        """
        if not work.exists():
            self.prepare(source, work)
        lines = self.lines(source, work)
        return run(lines, work / "log.txt", self.environment, folder=work)

    def check(self, work: Path, expected: Gold) -> None:
        """Compares its gold table with what DuckDB computed.

        Raises:
            Failed: they differ.
        """
        if self.gold is None:
            return
        found = read_gold(work / self.gold)
        if found != expected:
            wrong = sorted(
                str(key)
                for key in found.keys() | expected.keys()
                if found.get(key) != expected.get(key)
            )
            raise Failed(f"{self.name}: {len(wrong)} groups of gold are wrong, such as {wrong[0]}")


def settings(source: Input, work: Path, *more: str) -> list[str]:
    """The options of `medallion` for a lake in `work`."""
    chosen = [f"storage.root={work / 'lake'}", f"landing.root={source.landing}", *more]
    return ["--config", str(CONFIG), *(word for one in chosen for word in ("--set", one))]


def with_customers(source: Input, work: Path) -> None:
    """A lake that has the customers and nothing else."""
    shutil.copytree(source.customers, work / "lake" / "silver" / "customers")


def ours(
    name: str = OURS, title: str = "medallion_jobs", environment: Mapping[str, str] | None = None
) -> Contender:
    """`medallion run`, from the shell."""

    def lines(source: Input, work: Path) -> list[list[str]]:
        return [[medallion(), "run", "all", "--progress", "json", *settings(source, work)]]

    gold = "lake/gold/sales_by_region_day"
    return Contender(name, title, lines, gold, with_customers, environment or {})


def rival(
    name: str, title: str, python: Path, *script: str, gold: str | None = "gold"
) -> Contender:
    """A script under `rivals/`: INPUT, WORK, and what else it takes."""
    file, *more = script

    def lines(source: Input, work: Path) -> list[list[str]]:
        return [[str(python), str(HERE / "rivals" / file), str(source.folder), str(work), *more]]

    return Contender(name, title, lines, gold, environment=rivals_environment())


def rivals(python: Path) -> dict[str, Contender]:
    """All that take part in some scenario, by name."""
    found = [
        rival("notebook_tuned", "notebook, tuned", python, "notebook.py", "tuned"),
        rival("notebook_default", "notebook, defaults", python, "notebook.py", "default"),
        rival("declarative", "Spark Declarative Pipelines", python, "declarative.py"),
        rival("dlt", "dlt into Delta", python, "dlt_delta.py", gold="lake/gold"),
        rival("polars", "Polars with delta-rs", python, "polars_delta.py"),
        rival("duckdb", "DuckDB alone", python, "duckdb_alone.py", gold="lake.duckdb"),
        reference(python),
        submits(python),
        ours(BERLIN, "medallion_jobs, TZ=Europe/Berlin", {"TZ": "Europe/Berlin"}),
    ]
    return {one.name: one for one in found}


def reference(python: Path) -> Contender:
    """A bare session with one Delta write and one read: what a start costs anybody."""
    title = "bare session, one Delta write, one read"
    return rival("reference", title, python, "reference.py", gold=None)


def submits(python: Path) -> Contender:
    """The notebook's layers, each by a spark-submit of its own."""

    def lines(source: Input, work: Path) -> list[list[str]]:
        submit = [str(python.parent / "spark-submit"), "--packages", DELTA_PACKAGE]
        for setting in _SESSION:
            submit += ["--conf", setting]
        script = [str(HERE / "rivals" / "notebook.py"), str(source.folder), str(work), "default"]
        return [[*submit, *script, layer] for layer in ("bronze", "silver", "gold")]

    environment = {**rivals_environment(), "PYSPARK_PYTHON": str(python)}
    title = "notebook, three spark-submits with defaults"
    beginner = rival("submits", title, python, "notebook.py", "default")
    return Contender("submits", title, lines, environment=environment, beginner=beginner)
