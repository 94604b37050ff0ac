"""Where everything lies under `storage.root`, and which table reads which.

<layer>/<table>                            the tables
_medallion/checkpoints/<layer>/<table>     a query's state (medallion_jobs.checkpoint)
_medallion/ledger/<bronze table>           the files of a bronze table
_medallion/schemas/<bronze table>          the versions of its schema
_medallion/quarantine/<layer>/<table>      rows and records that could not be written to a table
_medallion/held/silver/<table>             rows that are held until a dimension has their key
_medallion/metrics/<layer>/<table>         a row for each batch of a query
_medallion/metrics/quality/<layer>/<table> a row for each batch and rule of a table
_medallion/metrics/rebuilds                a row for each rebuild of a table
_medallion/tombstones/silver/<table>       keys that were deleted from a table
_medallion/changes/silver/<table>          changes from which a table is computed
_medallion/trash/<time>-<layer>.<table>    a table that was dropped, as it lay below the root
_medallion/runs                            a record of each run, and its log
_medallion/metrics/runs                    older records of runs
_medallion/warehouse                       Spark's warehouse folder; it stays empty
_medallion/slots/<slot>/<layer>/<table>    a table that is built beside the live one
_medallion/slots/<slot>/checkpoints/…      and all of the above for it
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.config.names import IDENTIFIER_PATTERN
from medallion_jobs.errors import UsageError
from medallion_jobs.storage import Location, children

# The slot of the tables that people and other queries read.
LIVE = "live"


@dataclass(frozen=True)
class TablePaths:
    """Where a table lies, and all that the engine keeps for it.

    Attributes:
        slot: which build of the table. What lies in another slot than `live` shares nothing with
            the live table.

    Raises:
        UsageError: the slot's name is no identifier.
    """

    config: Pipeline = field(repr=False)
    ref: TableRef
    slot: str = LIVE

    def __post_init__(self) -> None:
        if not re.fullmatch(IDENTIFIER_PATTERN.rstrip("$"), self.slot):
            raise UsageError(
                f"{self.slot!r} cannot be the name of a slot",
                code="invalid_slot",
                untouched="nothing was started",
                next_step="give it a name of letters, digits and _, such as rebuild",
            )

    def __str__(self) -> str:
        return str(self.ref) if self.is_live else f"{self.ref} in slot {self.slot}"

    @property
    def is_live(self) -> bool:
        """Whether this is the table that people and other queries read."""
        return self.slot == LIVE

    @property
    def data(self) -> Location:
        """The table itself."""
        root = lake(self.config) if self.is_live else self.state
        return self._table_in(root)

    @property
    def state(self) -> Location:
        """The folder of the engine's state that this slot uses."""
        state = self.config.state_path
        return state if self.is_live else state / "slots" / self.slot

    @property
    def checkpoints(self) -> Location:
        """The state of the query that writes the table."""
        return self._table_in(self.state / "checkpoints")

    @property
    def ledger(self) -> Location:
        """The files of a bronze table."""
        return self.state / "ledger" / self.ref.name

    @property
    def discovered(self) -> Location:
        """The part of the ledger that the bronze query streams."""
        return self.ledger / "discovered"

    @property
    def events(self) -> Location:
        """The part of the ledger that says what became of the files."""
        return self.ledger / "events"

    @property
    def schemas(self) -> Location:
        """The schema registry of a bronze table."""
        return self.state / "schemas" / self.ref.name

    @property
    def quarantine(self) -> Location:
        """Rows and records that could not be written to the table."""
        return self._table_in(self.state / "quarantine")

    @property
    def held(self) -> Location:
        """Rows of a silver table that are held until a dimension has their key."""
        return self._table_in(self.state / "held")

    @property
    def tombstones(self) -> Location:
        """Keys that were deleted from a silver table, so that no older change brings them back."""
        return self._table_in(self.state / "tombstones")

    @property
    def changes(self) -> Location:
        """The changes from which a silver table with `apply_changes` is computed."""
        return self._table_in(self.state / "changes")

    @property
    def metrics(self) -> Location:
        """A row for each batch of the query that writes the table."""
        return self._table_in(self.state / "metrics")

    @property
    def rule_metrics(self) -> Location:
        """A row for each batch and rule of the table."""
        return self._table_in(self.state / "metrics" / "quality")

    @property
    def everything(self) -> tuple[Location, ...]:
        """All folders of the table; the one with its query's state last."""
        of_files = (self.ledger, self.schemas) if self.ref.layer == "bronze" else ()
        beside = (self.quarantine, self.held, self.tombstones, self.changes)
        return (
            *(self.data, *of_files, *beside),
            *(self.rule_metrics, self.metrics, self.checkpoints),
        )

    def _table_in(self, folder: Location) -> Location:
        return folder / self.ref.layer / self.ref.name


def lake(config: Pipeline) -> Location:
    """The folder of the layers."""
    return config.state_path.parent


def slots(config: Pipeline) -> list[str]:
    """The names of the slots: `live`, and those for which something is on disk."""
    found = (folder.name for folder in children(config.state_path / "slots"))
    return [LIVE, *(name for name in found if re.fullmatch(IDENTIFIER_PATTERN, name))]


def releases(parked_rows: Location) -> Location:
    """The releases: which rows of a quarantine, or of the held rows, have left it.

    Delta ignores folders whose name starts with `_` in the table around them: here and below.
    """
    return parked_rows / "_claims"


def transactions(changes: Location) -> Location:
    """The changes that wait for others of their transaction, beside those that are applied."""
    return changes / "_transactions"


def rebuilds(config: Pipeline) -> Location:
    """A row for each rebuild of a table."""
    return config.state_path / "metrics" / "rebuilds"


def trash(config: Pipeline) -> Location:
    """What was taken away with `medallion drop`, until `maintain` removes it."""
    return config.state_path / "trash"


def warehouse(config: Pipeline) -> Location:
    """The folder where Spark would create a table without a location."""
    return config.state_path / "warehouse"


def sources(config: Pipeline) -> dict[TableRef, Location | None]:
    """For each table, the Delta table that its query reads as a stream; layer by layer.

    None for a table that reads Kafka topics.
    """
    bronze = [TableRef("bronze", name) for name in config.bronze]
    silver = {TableRef("silver", name): table.from_ for name, table in config.silver.items()}
    gold = {TableRef("gold", name): table.from_ for name, table in config.gold.items()}
    of_files = config.file_sources
    return {
        **{r: TablePaths(config, r).discovered if r.name in of_files else None for r in bronze},
        **{ref: TablePaths(config, read).data for ref, read in {**silver, **gold}.items()},
    }


def readers(config: Pipeline, table: TableRef) -> list[TableRef]:
    """The tables whose queries read `table`, directly or through other tables."""
    path = TablePaths(config, table).data
    direct = [ref for ref, source in sources(config).items() if source == path]
    return [*direct, *(indirect for reader in direct for indirect in readers(config, reader))]
