"""Where things lie under `storage.root`, and what reads what.

<layer>/<table>                            the tables
_medallion/checkpoints/<layer>/<table>     a query's state (medallion_jobs.checkpoint)
_medallion/ledger/<bronze table>           the files of a bronze table
_medallion/schemas/<bronze table>          the schemas that it has had
_medallion/quarantine/<layer>/<table>      what could not go on to a table
_medallion/held/silver/<table>             rows that wait for a dimension's key
_medallion/metrics/<layer>/<table>         a row for each batch of a query
_medallion/metrics/quality/<layer>/<table> a row for each batch and rule of a table
_medallion/tombstones/silver/<table>       keys that were deleted from a table
_medallion/warehouse                       Spark's own, empty: every table has its place
"""

from __future__ import annotations

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.storage import Location


def lake(config: Pipeline) -> Location:
    """The folder of the layers."""
    return config.state_path.parent


def ledger(config: Pipeline, bronze_table: str) -> Location:
    """The folder of a bronze table's ledger."""
    return config.state_path / "ledger" / bronze_table


def discovered(config: Pipeline, bronze_table: str) -> Location:
    """The part of the ledger that the bronze query streams."""
    return ledger(config, bronze_table) / "discovered"


def schemas(config: Pipeline, bronze_table: str) -> Location:
    """The folder of a bronze table's schema registry."""
    return config.state_path / "schemas" / bronze_table


def quarantine(config: Pipeline, table: TableRef) -> Location:
    """The quarantine of a table."""
    return config.state_path / "quarantine" / table.layer / table.name


def held(config: Pipeline, table: TableRef) -> Location:
    """The rows of a silver table that wait for a dimension's key."""
    return config.state_path / "held" / table.layer / table.name


def tombstones(config: Pipeline, table: TableRef) -> Location:
    """Keys that were deleted from a silver table, lest an older change bring them back."""
    return config.state_path / "tombstones" / table.layer / table.name


def claims(parked_rows: Location) -> Location:
    """Which rows of a quarantine, or of held ones, have left it.

    Delta takes a name with a `_` for no data of the table around it.
    """
    return parked_rows / "_claims"


def metrics(state: Location, table: TableRef) -> Location:
    """The metrics of the query that writes a table, in the engine's state folder."""
    return state / "metrics" / table.layer / table.name


def quality_metrics(state: Location, table: TableRef) -> Location:
    """What the rules of a table said of each batch, in the engine's state folder."""
    return state / "metrics" / "quality" / table.layer / table.name


def warehouse(config: Pipeline) -> Location:
    """Where Spark would put a table that had no place of its own."""
    return config.state_path / "warehouse"


def sources(config: Pipeline) -> dict[TableRef, Location]:
    """By the table that a query writes, the Delta table that it streams; layer by layer."""
    return {
        **{TableRef("bronze", name): discovered(config, name) for name in config.bronze},
        **{TableRef("silver", n): config.table_path(t.from_) for n, t in config.silver.items()},
        **{TableRef("gold", n): config.table_path(t.from_) for n, t in config.gold.items()},
    }


def readers(config: Pipeline, table: TableRef) -> list[TableRef]:
    """The tables whose queries read `table`, and those that read them, and so on."""
    direct = [ref for ref, source in sources(config).items() if source == config.table_path(table)]
    return [*direct, *(far for near in direct for far in readers(config, near))]
