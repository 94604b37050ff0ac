"""Loads one batch: its files into bronze, bad records into quarantine, an outcome for each file.

The order makes a crash harmless. Bronze comes first, in one commit with the batch's
transaction; then quarantine, with its own transaction; last the ledger's events (the caller
writes them), with counts from the two tables. A batch that is run again after a crash skips
what is already written and does the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from medallion_jobs.autoloader.file_entry import FileEntry, FileKey, is_local, to_path
from medallion_jobs.autoloader.ledger.tables import Outcome, State
from medallion_jobs.autoloader.loading import bronze_rows, write
from medallion_jobs.autoloader.loading.account import NOTHING_OLDER, Counts, Older
from medallion_jobs.autoloader.loading.bad_records import BadRecords
from medallion_jobs.autoloader.loading.file_status import FileStatus
from medallion_jobs.autoloader.loading.set_aside import LoadedBatch, refusal, refuse
from medallion_jobs.autoloader.loading.sinks import DeltaSink, Sink
from medallion_jobs.autoloader.loading.write import NewColumnsError, Read
from medallion_jobs.autoloader.readers import unreadable
from medallion_jobs.autoloader.readers.file_schemas import SPARK_FAILURES
from medallion_jobs.autoloader.readers.records import Records, UnreadableError
from medallion_jobs.autoloader.schemas.columns import BronzeColumns
from medallion_jobs.errors import DataError
from medallion_jobs.lake.tables import Txn

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass
class BatchLoad:
    """Loads the files of one batch.

    Attributes:
        already_written: whether the sink has already taken this batch.
        fails_if_mostly_bad: whether the batch fails, with nothing written, if most of it would
            not get into bronze as expected.
        remarks: remarks for the user, besides the outcomes of the files.
    """

    spark: SparkSession
    columns: BronzeColumns
    sink: Sink
    quarantine: BadRecords
    file_status: FileStatus
    txn: Txn
    generation: int
    already_written: bool
    older: Older = NOTHING_OLDER
    fails_if_mostly_bad: bool = False
    remarks: list[str] = field(default_factory=list)

    def run(self, files: Sequence[FileEntry]) -> list[Outcome]:
        """Loads the files, and returns the outcome of each.

        Raises:
            DataError: records were read that are neither in bronze nor in quarantine; or a
                file is gone, or has a new column, and the source's policy is to fail then.
        """
        if self.already_written:
            return self._finish_written(files)
        fresh = [file for file in files if not self.older.is_loaded(file)]
        not_loaded = {file: found for file in fresh if (found := self.file_status.first(file))}
        wanted = [file for file in fresh if file not in not_loaded]
        if not self.columns.is_known:
            self.columns.begin(wanted)
            self.sink.prepare(self.spark, self.columns.of_table)
            self.columns.record()
        read = self._write(wanted, not_loaded)
        if read is None:
            return self._finish_written(files)
        wanted = [file for file in wanted if file not in not_loaded]
        unfinished = self._readable([file for file in files if self.older.may_lack_bad(file)])
        bad = self._put_bad([*(wanted if read.bad else []), *unfinished])
        rows = self.sink.written(self.txn)
        self._balance(read.all, wanted, rows, bad)
        return self._outcomes(files, not_loaded, rows, bad)

    def _finish_written(self, files: Sequence[FileEntry]) -> list[Outcome]:
        """Completes a batch that the sink has; quarantine and the ledger may still lack it.

        A file with rows in the table is loaded, whatever has happened to it since.
        """
        rows = self.sink.written(self.txn)
        loaded = {file for file in files if file.key in rows or self.older.is_loaded(file)}
        present = [file for file in files if not self.file_status.first(file, may_fail=False)]
        broken = unreadable.find(self.columns.read_through, present) if present else {}
        not_loaded = {
            file: found
            for file in files
            if file not in loaded
            if (found := self._not_read(file, broken))
        }
        own = {file for file in present if file not in broken and self._is_own(file, rows)}
        lacking = [f for f in present if f not in broken if not self.older.is_complete(f)]
        present = sorted({*own, *lacking})
        counted = write.count(self._records(present), present) if present else {}
        self._refuse_other_rows(own, rows, counted)
        bad = self._put_bad(present, own)
        outcomes = self._outcomes(files, not_loaded, rows, bad, own)
        return [_with_change(outcome, counted) for outcome in outcomes]

    def _is_own(self, file: FileEntry, rows: Counts) -> bool:
        """Whether a file belongs to the reading of this batch, not to one of an older generation.

        A file of which the batch has put a row into the table is its own, whatever an older
        generation has read of it before the table was rebuilt.
        """
        return file.key in rows or not self.older.is_loaded(file)

    def _records(self, files: Sequence[FileEntry]) -> Records:
        columns = self.columns
        return columns.records(files, columns.in_files)

    def _write(
        self, files: Sequence[FileEntry], not_loaded: dict[FileEntry, Outcome]
    ) -> Read | None:
        """Writes the good records; adds the files that cannot be read to `not_loaded`.

        A batch that brings new columns is started again once the table has them.

        Returns:
            What was read; None if the sink already had the batch.
        """
        may_grow = self.columns.source.evolution not in ("rescue", "none")
        total = len(files) + len(not_loaded)
        while True:
            self._refuse_unread(total, not_loaded)
            files = [file for file in files if file not in not_loaded]
            try:
                return self._write_good(files, may_grow=may_grow)
            except NewColumnsError:
                may_grow = self._grow(files)
            except UnreadableError as error:
                not_loaded |= {file: self._broken(file, error.files) for file in error.files}
            except SPARK_FAILURES:
                broken = unreadable.find(self.columns.read_through, files) if files else {}
                if not broken:
                    raise
                not_loaded |= {file: self._broken(file, broken) for file in broken}

    def _write_good(self, files: Sequence[FileEntry], *, may_grow: bool) -> Read | None:
        if not files:
            # Without rows too, the table's transaction has to keep up with the checkpoint.
            nothing = self.spark.createDataFrame([], self.columns.of_table)
            return Read(0, 0) if self.sink.write(nothing, self.txn, None) else None
        records = self._records(files)
        selected = bronze_rows.of(records, self.columns, files, self.txn.batch)
        replaces = self.columns.source.on_changed_file == "reprocess"
        old = bronze_rows.older_contents(files) if replaces else None
        if self.fails_if_mostly_bad:
            good = records.frame.where(records.good).select(*selected)
            refuse(self.sink.name, self.seen([]), records, good)
        return write.good(
            records,
            selected,
            lambda rows: self.sink.write(rows, self.txn, old),
            stops_at_new=may_grow,
            stops_at_misfit=may_grow and self.columns.source.widens,
        )

    def _grow(self, files: Sequence[FileEntry]) -> bool:
        """Adds new columns to the schema; returns whether there were any."""
        if not self.columns.source.grows:
            brought = ", ".join(self.columns.new_in(files)) or "a key without a column"
            raise DataError(
                f"{self.sink.name}: the files of this batch have new columns: {brought}\n"
                f"  files: {', '.join(to_path(file.path) for file in files[:3])}"
                + (f" and {len(files) - 3:,} more" if len(files) > 3 else ""),  # noqa: PLR2004
                code="new_columns_refused",
                untouched="nothing of the batch is visible; it is done again at the next start",
                next_step="declare them in `schema`, or have them added: "
                "schema_evolution: add_new_columns; then run again",
            )
        changes = self.columns.grow(files, self.txn.batch)
        if changes:
            self.sink.prepare(self.spark, self.columns.of_table)
            self.columns.record()
            self.remarks.append("new in the schema: " + ", ".join(changes))
        return bool(changes)

    def _refuse_unread(self, files: int, not_loaded: Mapping[FileEntry, Outcome]) -> None:
        """Raises DataError if most files cannot be read and the config asks to fail then."""
        if self.fails_if_mostly_bad and not_loaded:
            found = self.seen([*not_loaded.values()]).of_files(files)
            if found:
                raise refusal(self.sink.name, found)

    def seen(self, outcomes: Sequence[Outcome]) -> LoadedBatch:
        """The batch, to check how much of it gets into bronze as expected."""
        columns = self.columns
        return LoadedBatch(
            outcomes=outcomes,
            format=columns.source.format,
            in_files=columns.in_files,
            txn=self.txn,
            is_first=self.txn.batch == 0,
        )

    def _readable(self, files: Sequence[FileEntry]) -> list[FileEntry]:
        present = [file for file in files if not self.file_status.first(file, may_fail=False)]
        broken = unreadable.find(self.columns.read_through, present) if present else {}
        return [file for file in present if file not in broken]

    def _not_read(self, file: FileEntry, broken: Mapping[FileEntry, str]) -> Outcome | None:
        found = self.file_status.first(file, may_fail=False)
        return self._broken(file, broken) if found is None and file in broken else found

    def _broken(self, file: FileEntry, broken: Mapping[FileEntry, str]) -> Outcome:
        return self.file_status.again(file) or Outcome(file, State.QUARANTINED, error=broken[file])

    def _put_bad(self, files: Sequence[FileEntry], own: Collection[FileEntry] = ()) -> Counts:
        """Puts the bad records of files into quarantine; returns their counts by file.

        Args:
            own: those of them that this batch has read, whatever older generations have of them.
        """
        lacking = [file for file in files if file in own or file.key not in self.older.bad]
        if not lacking:
            return self.older.bad
        put = self.quarantine.put(self.spark, lacking, self._records, self.txn, self.generation)
        return {**self.older.bad, **put}

    def _balance(self, read: int, files: Sequence[FileEntry], rows: Counts, bad: Counts) -> None:
        """Raises DataError if the records read are not all in one of the two tables."""
        good = sum(rows.get(file.key, (0, 0))[0] for file in files)
        quarantined = sum(bad.get(file.key, (0, 0))[0] for file in files)
        if read != good + quarantined:
            raise DataError(
                f"{self.txn.app_id}, batch {self.txn.batch}: {read:,} records were read, but "
                f"{good:,} are in bronze and {quarantined:,} in quarantine: a file changed "
                "while it was read",
                code="records_unbalanced",
                untouched="the batch is not recorded as done; its ledger events are not written",
                next_step="run again; `medallion files` then names the file and its counts",
            )

    def _refuse_other_rows(
        self, files: Collection[FileEntry], rows: Counts, counted: Mapping[FileKey, Read]
    ) -> None:
        """Raises DataError if an unchanged file has other good records than bronze has rows.

        Then the config has changed since the batch was written, and the bad records of now would
        not be those that bronze lacks. In a remote store it is unknown whether a file is
        unchanged; there, and of a file that has changed, the outcome says how many it has now.
        """
        if not isinstance(self.sink, DeltaSink):
            return  # the rows that a function got before the crash are not counted
        for file in sorted(files):
            held, now = rows.get(file.key, (0, 0))[0], counted.get(file.key, Read(0, 0))
            if held == now.all - now.bad or not is_local(file.path):
                continue
            if self.file_status.as_read(file) != file or self.file_status.change(file):
                continue
            raise DataError(
                f"{self.txn.app_id}, batch {self.txn.batch} was interrupted after it was written: "
                f"bronze has {held:,} rows of {to_path(file.path)}, which is unchanged and has "
                f"{now.all - now.bad:,} good records with the config of now",
                code="config_changed_after_batch",
                untouched="the table and its quarantine; the batch is not recorded as done",
                next_step="undo the change of the source's `format`, `options` or `schema`, run "
                "once, and change it then; or go on with it: "
                f'`medallion checkpoint reset {self.sink.name} --reason "…" --yes`',
            )

    def _outcomes(
        self,
        files: Sequence[FileEntry],
        not_loaded: dict[FileEntry, Outcome],
        rows: Counts,
        bad: Counts,
        own: Collection[FileEntry] = (),
    ) -> list[Outcome]:
        # A commit that replaces rows has only a part of an older file's.
        rows = {**rows, **self.older.rows}
        return [
            not_loaded.get(file)
            or Outcome(
                self.file_status.as_read(file),
                State.ARCHIVED if file.key in self.older.archived else State.COMMITTED,
                *rows.get(file.key, (0, 0)),
                bad=bad.get(file.key, (0, 0))[0],
                error=self.file_status.change(file) or _in_part(*bad.get(file.key, (0, 0))),
                is_new=file in own or not self.older.is_loaded(file),
            )
            for file in files
        ]


def _in_part(_: int, records: int) -> str | None:
    """Says that quarantine does not have all bytes of some records; None if it has."""
    if not records:
        return None
    return f"{records:,} bad record(s) are kept only in part, so clean_source leaves the file"


def _with_change(outcome: Outcome, counted: Mapping[FileKey, Read]) -> Outcome:
    """Adds an error to a loaded file that now has another number of records than the tables."""
    now, held = counted.get(outcome.file.key), outcome.rows + outcome.bad
    if outcome.state is not State.COMMITTED or now is None or now.all == held:
        return outcome
    return replace(outcome, error=f"changed while it was read: {now.all} records, {held} loaded")
