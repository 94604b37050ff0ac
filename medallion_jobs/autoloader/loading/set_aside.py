"""Describes a batch of which most did not get into bronze as expected, with an example."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.autoloader.file_entry import to_path
from medallion_jobs.autoloader.ledger.tables import Outcome, State
from medallion_jobs.errors import DataError
from medallion_jobs.lake.columns import RESCUED, RESCUED_FILE
from medallion_jobs.lake.tables import Txn, commit_of
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.observe.set_aside import SetAside, is_most, misfit_cause, shortened
from medallion_jobs.storage import Location, uri
from medallion_jobs.storage.duck import connect
from medallion_jobs.storage.duck import name as duck_name

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

    from medallion_jobs.autoloader.readers.records import Records

# The number of rows whose rescued data is examined.
_SAMPLE = 1000
_MOST_KEYS = 5
_CAUSES = {
    "not valid JSON": "the files are not JSON lines: check `format`, and `options.multiLine` if "
    "each file is one document",
    "compressed": "the files are compressed: give them the matching extension, such as .json.gz",
    "null bytes": "the files have another encoding: set `options.encoding`",
    "not an object": "each line must be a JSON object: check `format`, and `options.multiLine` "
    "if each file is one array",
}


@dataclass(frozen=True)
class LoadedBatch:
    """A batch that is loaded, or about to be.

    Attributes:
        format: the source's format.
        in_files: the columns that are read from inside the files.
        is_first: whether it is the table's first batch.
    """

    outcomes: Sequence[Outcome]
    format: str
    in_files: StructType
    txn: Txn
    is_first: bool

    def in_tables(self, bronze: Location | None, quarantine: Location) -> SetAside | None:
        """Describes the batch, by its rows in the two tables, if most of it is bad; else None.

        Args:
            bronze: None to leave out the check of rescued data.
        """
        new = [outcome for outcome in self.outcomes if outcome.is_new]
        rows, bad = sum(outcome.rows for outcome in new), sum(outcome.bad for outcome in new)
        rescued = sum(outcome.rescued for outcome in new)
        if found := self.of_files(len(self.outcomes)):
            return found
        if is_most(rows + bad, bad, is_first=self.is_first):
            return _of_lines(rows + bad, bad, *self._most_frequent_fault(quarantine))
        if bronze is None or not is_most(rows, rescued, is_first=self.is_first):
            return None
        with connect(bronze) as duck:
            data = _written(duck, bronze, self.txn)
            if data is None:
                return None
            names = [name for name in self.in_files.names if name in data.columns]
            counted = data.aggregate(", ".join(f"count({duck_name(n)})" for n in names) or "0")
            counts = dict(zip(names, counted.fetchone() or (), strict=False))
            texts = data.filter(f"{RESCUED} IS NOT NULL").project(RESCUED).limit(_SAMPLE)
            sample = [text for (text,) in texts.fetchall()]
        return self.of_rescued(rows, rescued, counts, sample)

    def _most_frequent_fault(self, quarantine: Location) -> tuple[str, str]:
        """The most frequent reason for bad lines in the batch, and one such line."""
        txn = Txn(f"{self.txn.app_id}/quarantine", self.txn.batch, self.txn.run_id)
        with connect(quarantine) as duck:
            lines = _written(duck, quarantine, txn)
            # After a reset, quarantine has the lines of an earlier generation.
            if lines is None:
                return "bad lines, in quarantine since an earlier generation", ""
            top = lines.aggregate("reason, count(*) AS n, min(line) AS line", "reason")
            reason, _, line = top.order("n DESC, reason").fetchone() or ("", 0, "")
            return reason, line or ""

    def of_files(self, files: int) -> SetAside | None:
        """Describes the batch if most of its `files` files could not be read; else None."""
        unread = [outcome for outcome in self.outcomes if outcome.state is State.QUARANTINED]
        if not is_most(files, len(unread), is_first=self.is_first):
            return None
        return SetAside(
            rows=files,
            aside=len(unread),
            how="put aside",
            rule="the reader",
            example=shortened(f"{to_path(unread[0].file.path)}: {unread[0].error}"),
            cause=f"the files are not {self.format}: check `format` and `options` of the source",
            unit="files",
        )

    def of_rescued(
        self, rows: int, rescued: int, counts: Mapping[str, int], sample: Sequence[str]
    ) -> SetAside | None:
        """Describes a batch whose rows mostly have rescued data, if the schema is wrong; else None.

        It is fine to declare only some of many columns. The schema is wrong if a column has no
        value in any row, or if its values do not fit its type.

        Args:
            counts: the number of rows with a value, by column.
            sample: rescued data of some rows.
        """
        misfits: Counter[str] = Counter()
        unknown: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for text in sample:
            for key, value in _object(text).items():
                if key in self.in_files.names:
                    misfits[key] += 1
                    examples.setdefault(key, str(value))
                elif key != RESCUED_FILE:
                    unknown[key] += 1
        name, times = next(iter(misfits.most_common(1)), ("", 0))
        if 2 * times > len(sample):
            kind = self.in_files[name].dataType.simpleString()
            example = f'{name}: "{shortened(examples[name])}" does not fit {kind}'
            cause = misfit_cause(name, kind, examples[name])
            return SetAside(rows, rescued, "rescued", "schema", example, cause)
        empty = [name for name, count in counts.items() if not count]
        keys = sorted(unknown, key=lambda key: (-unknown[key], key))[:_MOST_KEYS]
        if not (self.is_first and empty and keys):
            return None
        cause = (
            f"no row has a value for {', '.join(empty)}, and the files have {', '.join(keys)}, "
            "which are not columns: use the names from the files in `schema`"
        )
        return SetAside(rows, rescued, "rescued", "schema", shortened(sample[0]), cause)


def refuse(name: str, batch: LoadedBatch, records: Records, rows: DataFrame) -> None:
    """Checks the records before they are written.

    Args:
        name: the table's name.
        rows: the good records, as they would be written.

    Raises:
        DataError: most of them would be in quarantine, or do not fit the schema.
    """
    counted = records.frame.agg(F.count(F.lit(1)), F.count_if(~records.good)).first()
    assert counted is not None  # an aggregate without groups has one row
    read, bad = counted
    found = None
    if is_most(read, bad, is_first=batch.is_first):
        example = records.frame.where(~records.good).select(records.reason, records.raw).first()
        found = _of_lines(read, bad, *(example or ("", "")))
    else:
        names = [n for n in batch.in_files.names if n in rows.columns]
        values = [F.count(col(n)) for n in names]
        totals = rows.agg(F.count(F.lit(1)), F.count(RESCUED), *values).first()
        assert totals is not None  # as above
        good, rescued, *each = totals
        if is_most(good, rescued, is_first=batch.is_first):
            kept = rows.select(RESCUED).where(col(RESCUED).isNotNull()).limit(_SAMPLE).collect()
            counts = dict(zip(names, each, strict=True))
            found = batch.of_rescued(good, rescued, counts, [text for (text,) in kept])
    if found:
        raise refusal(name, found)


def refusal(name: str, found: SetAside) -> DataError:
    """The error for a batch that must not be written."""
    return DataError(
        f"{name}: {found.text}",
        code="most_rows_not_loaded",
        untouched="nothing of the batch is written; its files are read again at the next run",
        next_step="change the config, then run again; or accept it with `on_all_aside: warn`",
    )


def _of_lines(rows: int, bad: int, reason: str, line: str | None) -> SetAside:
    cause = next((cause for sign, cause in _CAUSES.items() if sign in reason), None)
    return SetAside(
        rows=rows,
        aside=bad,
        how="quarantined",
        rule="the reader",
        example=shortened(f"{reason}: {line}"),
        cause=cause or "the files do not match the source's `options`",
    )


def _written(
    duck: duckdb.DuckDBPyConnection, table: Location, txn: Txn
) -> duckdb.DuckDBPyRelation | None:
    """The rows that a transaction added to a table; None if it added none."""
    commit = commit_of(table, txn.app_id, txn.batch)
    if commit is None or not commit.added:
        return None
    return duck.read_parquet([uri(added.path) for added in commit.added], union_by_name=True)


def _object(text: str) -> Mapping[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
