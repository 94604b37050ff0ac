"""docs/operations.md, typed from top to bottom on one lake, each section after what went wrong.

In one process: the commands share a Spark session, as those of one container would not.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
import yaml
from deltalake import DeltaTable
from support.lake import Lake, order
from support.pages import ROOT, in_sections, words
from typer.testing import CliRunner, Result

from medallion_jobs.cli import app
from medallion_jobs.errors import MedallionError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PAGE = ROOT / "docs" / "operations.md"
GOLD = "gold.sales_by_region_day"


@dataclass
class Site:
    """A folder in which the page's commands are typed."""

    spark: SparkSession
    folder: Path
    landed: int = 0

    def type(self, command: str) -> Result:
        """The command's result; an error of the package is its exit code, a bug is raised."""
        result = CliRunner().invoke(app, words(command)[1:])
        if isinstance(result.exception, MedallionError):
            result.exit_code = result.exception.exit_code
        elif result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def lands(self, *lines: str, name: str = "") -> None:
        self.landed += 1
        Lake.at(self.folder).drop(name or f"file_{self.landed}.json", *lines, at=self.landed)

    def configure(self, change: Callable[[dict], object]) -> None:
        file = self.folder / "conf" / "sales.yaml"
        # All values as text: the key `on` is no boolean.
        config = yaml.load(file.read_text(encoding="utf-8"), yaml.BaseLoader)
        change(config)
        file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")

    def path(self, table: str) -> Path:
        return self.folder.joinpath("lake", *table.split("."))

    def rows(self, table: str, columns: str = "*") -> list[tuple]:
        """As DuckDB reads them; delta-rs sees as many."""
        with duckdb.connect() as duck:
            duck.execute("LOAD delta")
            path = self.path(table)
            found = duck.execute(f"SELECT {columns} FROM delta_scan('{path}')").fetchall()
        assert len(found) == DeltaTable(path).to_pyarrow_table().num_rows
        return found

    def sql(self, text: str) -> None:
        for statement in filter(str.strip, text.split(";")):
            self.spark.sql(statement.replace("`lake/", f"`{self.folder}/lake/"))

    def orders(self) -> list[str]:
        return sorted(name for (name,) in self.rows("silver.sales", "order_id"))

    def fits(self, *, whole: bool) -> None:
        """Silver has what bronze has; gold what silver has; and nothing is left to do.

        Args:
            whole: whether bronze still has all rows that were loaded.
        """
        bronze = sorted(name for (name,) in self.rows("bronze.sales", "order_id"))
        assert self.orders() == bronze
        assert self.type("medallion verify").exit_code == 0
        assert self.type("medallion verify --layers").exit_code == (0 if whole else 1)
        plan = self.type("medallion plan")
        assert plan.exit_code == 0, plan.output


def _silver(site: Site) -> None:
    site.configure(
        lambda config: config["silver"]["sales"]["columns"].update(
            order_date="to_date(order_timestamp - interval 6 hours)"
        )
    )


def _gold(site: Site) -> None:
    def no_returns(config: dict) -> None:
        measures = config["gold"]["sales_by_region_day"]["measures"]
        measures["total_quantity"] = "sum(quantity) FILTER (WHERE quantity > 0)"

    site.configure(no_returns)


def _bad_file(site: Site) -> None:
    site.lands("{not json", name="broken.json.gz")
    site.lands(order(order_id="good"), "no record")
    assert site.type("medallion run").exit_code == 0


def _mended(site: Site) -> None:
    import gzip

    data = gzip.compress((order(order_id="mended") + "\n").encode())
    Lake.at(site.folder).drop_bytes("broken.json.gz", data, at=99)


def _bad_deploy(site: Site) -> None:
    file = site.folder / "conf" / "sales.yaml"
    good = file.read_text(encoding="utf-8")
    site.configure(
        lambda config: (
            config["silver"]["sales"]["columns"].update(order_date="current_date()")
            or config["silver"]["sales"]["columns"].update(order_date="DATE'1999-01-01'")
        )
    )
    assert site.type("medallion rebuild silver.sales --reason bad --yes").exit_code == 0
    file.write_text(good, encoding="utf-8")
    site.lands(order(order_id="meanwhile"))


def _back_fill(site: Site) -> None:
    for day in range(1, 4):
        line = order(order_id=f"old-{day}", order_timestamp=f"2019-01-0{day} 10:00:00")
        site.lands(line, name=f"2019/{day}.json")


def _late_customer(site: Site) -> None:
    site.lands(order(order_id="early", customer_id=777))
    assert site.type("medallion run").exit_code == 0
    Lake.at(site.folder).add_customers({777: "Moon"})


def _no_checkpoint(site: Site) -> None:
    shutil.rmtree(site.folder / "lake" / "_medallion" / "checkpoints" / "silver" / "sales")


def _vacuumed(site: Site) -> None:
    for name in ("behind-1", "behind-2"):
        site.lands(order(order_id=name))
        assert site.type("medallion run bronze").exit_code == 0
    table = DeltaTable(site.path("bronze.sales"))
    table.optimize.compact()
    table.vacuum(0, enforce_retention_duration=False, dry_run=False)
    ended = site.type("medallion run silver")
    assert ended.exit_code == 1
    assert "source_files_gone" in ended.output


def _erased(site: Site) -> None:
    (shown,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert (3,) in site.rows("bronze.sales", "customer_id")
    site.sql(shown)


def _keyed(site: Site) -> None:
    def by_order(config: dict) -> None:
        config["silver"]["sales"] |= {
            "write": "upsert",
            "keys": "order_id",
            "sequence": "load_time",
        }
        config["gold"]["sales_by_region_day"]["mode"] = "incremental"

    site.lands(order(order_id="good", quantity=5))
    site.configure(by_order)


def _renamed(site: Site) -> None:
    def rename(config: dict) -> None:
        config["gold"] = {"sales_by_region": config["gold"]["sales_by_region_day"]}
        del config["queries"]

    site.configure(rename)


def _removed(site: Site) -> None:
    site.configure(lambda config: config.pop("gold"))


@dataclass(frozen=True)
class Section:
    """What went wrong before a section, and how its first commands end; the others end with 0."""

    before: Callable[[Site], object] = lambda _: None
    ends: tuple[int, ...] = ()
    between: Callable[[Site], object] = lambda _: None
    fits: bool = True
    whole: bool = True


SECTIONS = {
    "Operations": Section(),
    "A bug in silver": Section(_silver, (1,)),
    "A bug in gold": Section(_gold, (2,)),
    "A bad file": Section(_bad_file, between=_mended),
    "A bad deploy": Section(_bad_deploy),
    "A back-fill of an old year": Section(_back_fill),
    "A late dimension": Section(_late_customer),
    "A lost checkpoint": Section(_no_checkpoint, (2,)),
    "A full disk": Section(),
    "A reader that fell behind": Section(_vacuumed),
    "Rows deleted or changed by another program": Section(_erased, (2,), whole=False),
    "A changed key": Section(_keyed, (2,), fits=False),
    "A table to rename": Section(_renamed, (1,), fits=False),
    "A table to remove": Section(_removed, (1,), fits=False),
}
# What CI types: one section of each kind of command.
SHORT = ("A bug in silver", "A bad deploy", "Rows deleted or changed by another program")


@pytest.fixture
def site(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "medallion.yaml").symlink_to(Path("conf", "sales.yaml"))
    monkeypatch.chdir(tmp_path)
    made = Site(spark, tmp_path)
    made.configure(
        lambda config: config.update(
            storage={"root": str(tmp_path / "lake")},
            landing={"root": str(tmp_path / "landing")},
            spark={"shuffle_partitions": 1},
        )
    )
    assert made.type("medallion generate --files 0").exit_code == 0
    made.lands(order(order_id="first"), order(order_id="third", customer_id=3))
    made.lands(order(order_id="night", order_timestamp="2026-01-31 02:00:00"))
    assert made.type("medallion run").exit_code == 0
    yield made


def test_the_test_knows_all_sections() -> None:
    assert list(in_sections(PAGE)) == list(SECTIONS)


@pytest.mark.parametrize(
    "names", [SHORT, pytest.param(tuple(SECTIONS), marks=pytest.mark.slow)], ids=["short", "all"]
)
def test_the_commands_of_the_page_work(site: Site, names: tuple[str, ...]) -> None:
    blocks = in_sections(PAGE)
    for name in names:
        section = SECTIONS[name]
        section.before(site)
        ended = []
        for place, block in enumerate(blocks[name]):
            if place == 1:
                section.between(site)
            for command in block:
                result = site.type(command)
                ended.append(result.exit_code)
                told = f"{name}: {command}\n{result.output}\n{result.exception}"
                expected = section.ends[len(ended) - 1] if len(ended) <= len(section.ends) else 0
                assert result.exit_code == expected, told
        if section.fits:
            site.fits(whole=section.whole)
