"""The paths under `storage.root`, and which table reads which.

<layer>/<table>                            the tables
_medallion/checkpoints/<layer>/<table>     a query's state (medallion_jobs.checkpoint)
_medallion/ledger/<bronze table>           the files of a bronze table
_medallion/schemas/<bronze table>          the versions of its schema
_medallion/quarantine/<layer>/<table>      rows and records that could not be written to a table
_medallion/held/silver/<table>             rows that are held until a dimension has their key
_medallion/metrics/<layer>/<table>         a row for each batch of a query
_medallion/metrics/quality/<layer>/<table> a row for each batch and rule of a table
_medallion/tombstones/silver/<table>       keys that were deleted from a table
_medallion/warehouse                       Spark's warehouse folder; it stays empty
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
    """The rows of a silver table that are held until a dimension has their key."""
    return config.state_path / "held" / table.layer / table.name


def tombstones(config: Pipeline, table: TableRef) -> Location:
    """Keys that were deleted from a silver table, so that no older change brings them back."""
    return config.state_path / "tombstones" / table.layer / table.name


def releases(parked_rows: Location) -> Location:
    """The releases: which rows of a quarantine, or of the held rows, have left it.

    Delta ignores folders whose name starts with `_` in the table around them.
    """
    return parked_rows / "_claims"


def metrics(state: Location, table: TableRef) -> Location:
    """The metrics of the query that writes a table, in the engine's state folder."""
    return state / "metrics" / table.layer / table.name


def quality_metrics(state: Location, table: TableRef) -> Location:
    """The results of a table's rules for each batch, in the engine's state folder."""
    return state / "metrics" / "quality" / table.layer / table.name


def warehouse(config: Pipeline) -> Location:
    """The folder where Spark would create a table without a location."""
    return config.state_path / "warehouse"


def sources(config: Pipeline) -> dict[TableRef, Location]:
    """For each table, the Delta table that its query reads as a stream; layer by layer."""
    return {
        **{TableRef("bronze", name): discovered(config, name) for name in config.bronze},
        **{TableRef("silver", n): config.table_path(t.from_) for n, t in config.silver.items()},
        **{TableRef("gold", n): config.table_path(t.from_) for n, t in config.gold.items()},
    }


def readers(config: Pipeline, table: TableRef) -> list[TableRef]:
    """The tables whose queries read `table`, directly or through other tables."""
    direct = [ref for ref, source in sources(config).items() if source == config.table_path(table)]
    return [*direct, *(indirect for reader in direct for indirect in readers(config, reader))]
