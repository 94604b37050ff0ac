"""What becomes of the tables of a run: a failed table stops those that read it, and no others."""

from __future__ import annotations

from dataclasses import dataclass, field

from medallion_jobs.config import TableRef
from medallion_jobs.config.selection import Reads
from medallion_jobs.errors import DataError, MedallionError, TransientError, UsageError
from medallion_jobs.observe.events import Emit, Note, RunSummary, TableFailed

# The kinds of errors by their exit codes, the worst last; what may pass is the least.
_KINDS = {75: TransientError, 1: DataError, 2: UsageError, 3: MedallionError}


@dataclass
class Branches:
    """The tables of a run: which have failed, and which do not run because of that.

    A table does not run if its source or a dimension of it failed: with a dimension as it was
    before, rows would get values that are out of date, or none.

    Attributes:
        reads: what each table reads of the others.
        failed: the error of each table that was refused or failed for good.
        not_run: the other tables that do not run, each with the failed one.
        done: the tables that ran to their end.
        started: the tables whose queries have started, so that they exist.
    """

    reads: Reads
    emit: Emit
    failed: dict[TableRef, MedallionError] = field(default_factory=dict)
    not_run: dict[TableRef, TableRef] = field(default_factory=dict)
    done: list[TableRef] = field(default_factory=list)
    started: set[TableRef] = field(default_factory=set)

    def fail(self, table: TableRef, error: MedallionError) -> None:
        """Notes that a table was refused or failed."""
        self.failed[table] = error
        self.emit(TableFailed.of(str(table), error))

    def cuts_off(self, table: TableRef) -> bool:
        """Whether a table does not run, because something that it reads failed; notes it then."""
        if table in self.not_run:
            return True
        for source in self.reads.get(table, ()):
            if source in self.failed or source in self.not_run:
                cause = self.not_run.get(source, source)
                self.not_run[table] = cause
                about = {"about": f"it reads {source}; {cause} failed"}
                self.emit(Note(str(table), "not run", about))
                return True
        return False

    def may_start(self, table: TableRef) -> bool:
        """Whether all that a table reads exists."""
        return self.started.issuperset(self.reads.get(table, ()))

    def end(self) -> None:
        """Raises what failed, if anything did, after a summary.

        Raises:
            MedallionError: the error of the one table that failed, or one for all of them, with
                the worst of their exit codes.
        """
        if not self.failed:
            return
        tables = len({*self.failed, *self.not_run, *self.done})
        self.emit(
            RunSummary(
                done=tuple(map(str, self.done)),
                failed={str(table): error.code for table, error in self.failed.items()},
                not_run={str(table): str(cause) for table, cause in self.not_run.items()},
            )
        )
        errors = list(self.failed.values())
        if len(errors) == 1:
            raise errors[0]
        worst = max(errors, key=lambda error: list(_KINDS).index(error.exit_code))
        worst_kind = _KINDS[worst.exit_code]
        raise worst_kind(
            f"{len(errors)} of {tables} tables failed:\n"
            + "\n".join(f"  {table}: {error.what}" for table, error in self.failed.items()),
            code="tables_failed",
            untouched="the tables that did not fail: their batches are complete",
            next_step="\n             ".join(
                f"{table}: {error.next_step}" for table, error in self.failed.items()
            ),
        ) from worst
