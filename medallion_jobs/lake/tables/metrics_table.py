"""A small Delta table that gets rows for each batch, exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import create_delta

MOST_FILES = 100


class MetricsTable:
    """Appends rows in transactions. Its caller holds the lock of the query.

    The table stays open from one append to the next. Appends get slower with more data files, so
    they are compacted when there are `MOST_FILES` of them.
    """

    def __init__(self, folder: Location, columns: pa.Schema) -> None:
        self._folder = folder
        self._columns = columns
        self._table: DeltaTable | None = None
        self._files = 0

    def append(
        self,
        rows: Sequence[Mapping[str, object]],
        app_id: str,
        batch: int,
        metadata: Mapping[str, str],
    ) -> bool:
        """Writes a batch's rows, once even if the batch is run several times.

        Args:
            metadata: added to the commit's `commitInfo`, to be read without a data file.

        Returns:
            Whether the rows were written now.
        """
        table = self._table or self._opened()
        written = table.transaction_version(app_id)
        if written is not None and written >= batch:
            return False
        write_deltalake(
            table,
            pa.Table.from_pylist([dict(row) for row in rows], schema=self._columns),
            mode="append",
            # A table of an earlier version may lack columns.
            schema_mode="merge",
            commit_properties=CommitProperties(
                app_transactions=[Transaction(app_id, batch)],
                custom_metadata=dict(metadata),
            ),
        )
        self._files += 1
        if self._files >= MOST_FILES:
            table.optimize.compact()
            table.create_checkpoint()
            # An open table keeps every version that it has loaded in memory.
            self._opened()
        return True

    def _opened(self) -> DeltaTable:
        self._table = create_delta(self._folder, self._columns, {"delta.appendOnly": "true"})
        self._files = self._table.get_add_actions().num_rows
        return self._table
