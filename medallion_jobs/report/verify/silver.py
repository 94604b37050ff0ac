"""A silver table's rows accounted for: all that was read is somewhere, once.

Where a row becomes one row, those read of the source are those in the table, and those that
were filtered, dropped, repeated, or put aside. Where it becomes several, or is changed by a
later one, what was read and what was added to the table are held against the source and the
table by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import duckdb

from medallion_jobs.checkpoint import QueryFolder, manifest
from medallion_jobs.checkpoint.offsets import Offset
from medallion_jobs.config import Pipeline, SilverTable, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables import commit_of, snapshot
from medallion_jobs.refine.batch_context import BatchContext
from medallion_jobs.report.lake_views import scan
from medallion_jobs.report.verify.batches import Batches
from medallion_jobs.report.verify.check import Audit, Check, Mismatch
from medallion_jobs.report.verify.commit_log import Log
from medallion_jobs.report.verify.parked_rows import Parked
from medallion_jobs.report.verify.versions import lost


def audit(duck: duckdb.DuckDBPyConnection, config: Pipeline, name: str, show: int) -> Audit:
    """Accounts for the rows of one silver table.

    Args:
        show: batches or commits to name, at most.

    Raises:
        UsageError: the table has never been written.
    """
    return _Silver.of(duck, config, name, show).audit()


@dataclass(frozen=True)
class _Silver:
    """One table, as of the newest of its batches of which all is noted.

    Attributes:
        has_member: whether a row of the table stands for what is not known.
        log: the table's, up to that batch.
    """

    duck: duckdb.DuckDBPyConnection
    config: Pipeline
    show: int
    has_member: bool
    log: Log
    batches: Batches
    parked: Parked

    @classmethod
    def of(cls, duck: duckdb.DuckDBPyConnection, config: Pipeline, name: str, show: int) -> _Silver:
        ref = TableRef("silver", name)
        home, path = QueryFolder.of(config.state_path, ref), config.table_path(ref)
        there, recorded = snapshot(path), manifest.read(home)
        if there is None or recorded is None or recorded.current.binding is None:
            why = "it was reset, and has not run since" if there and recorded else "it never ran"
            raise _cannot(ref, why)
        generation, logic = recorded.current.number, recorded.current.binding.logic
        app_id = home.checkpoint(generation).app_id
        written = there.txn(app_id)
        batches = Batches.read(duck, config, ref, generation, written)
        if written >= 0 and written not in batches.numbers:
            # It is in the table, and what came of it is not noted yet: a run is at it.
            commit = commit_of(path, app_id, written)
            before = snapshot(path, commit.version - 1) if commit else None
            if before is not None and before.version < there.version:
                there, batches = before, batches.before(written)
        commit = commit_of(path, app_id, batches.last)
        moment = BatchContext.of(commit).moment if commit else None
        return cls(
            duck=duck,
            config=config,
            show=show,
            has_member="unknown_member" in logic.state,
            log=Log(there, ref, app_id),
            batches=batches,
            parked=Parked.read(duck, config, ref, there, generation=generation, until=moment),
        )

    @property
    def ref(self) -> TableRef:
        return self.log.ref

    @property
    def table(self) -> SilverTable:
        return self.config.silver[self.ref.name]

    def audit(self) -> Audit:
        if self.batches.last < 0:
            return Audit(str(self.ref), str(self.table.from_), (), ("no batch is written yet",))
        checks: list[Check] = []
        remarks: list[str] = []
        source, version = self._source
        if isinstance(version, str):
            remarks.append(f"rows read: not compared: {version}")
        if missing := self.batches.missing:
            remarks.append(
                f"rows read and written: not compared: metrics.batches has no row of batch "
                f"{', '.join(map(str, missing[:3]))}" + (" and others" if missing[3:] else "")
            )
        else:
            read = None if isinstance(version, str) else self._count(source, version)
            checks += self._checks(read, remarks)
        of = f"{self.table.from_}" + ("" if isinstance(version, str) else f" at version {version}")
        return Audit(str(self.ref), of, tuple(checks), tuple(remarks))

    def _checks(self, read: int | None, remarks: list[str]) -> Iterator[Check]:
        batches = self.batches
        if read is not None and batches.rows_in is None:
            remarks.append("rows read: not compared: a batch does not tell how many it read")
            read = None
        if read is not None and batches.rows_in is not None:
            yield Check("rows read", read, batches.rows_in)
        many = self._many
        if many is None:
            yield from batches.balanced(self.show)
            if read is not None:
                yield self._account(read)
        else:
            remarks.append(f"rows accounted for: not compared: {many}")
        added = self._added
        if isinstance(added, str):
            remarks.append(f"rows added: not compared: {added}")
        else:
            yield self._named(Check("rows in the table", added, self.live))

    @cached_property
    def live(self) -> int:
        return self._count(self.ref, self.log.there.version)

    def _count(self, ref: TableRef, version: int) -> int:
        table = scan(self.config.table_path(ref), version)
        counted = self.duck.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        return int(counted[0]) if counted else 0

    @cached_property
    def _source(self) -> tuple[TableRef, int | str]:
        """The source's version up to which it is read; in words, why it cannot be counted."""
        source = self.table.from_
        home = QueryFolder.of(self.config.state_path, self.ref)
        reached = Offset.after(home.checkpoint(self.batches.generation), self.batches.last)
        if reached is None or reached.whole is None:
            return source, f"it is in the midst of a version of {source}"
        gone = lost(self.config.table_path(source), reached.whole)
        return source, f"{source}: {gone}" if gone else reached.whole

    @property
    def _many(self) -> str | None:
        """Why a row that is read is not one row that is written or put aside, if so."""
        table = self.table
        if table.explode:
            return "`explode` makes several rows of one"
        if table.transform:
            return f"`transform: {table.transform}` may make several rows of one, or none"
        if table.write != "append":
            return f"`write: {table.write}` changes rows that are there"
        if table.dedupe and table.dedupe.keep != "first":
            return f"`dedupe: keep: {table.dedupe.keep}` replaces rows that are there"
        return None

    def _account(self, read: int) -> Check:
        batches, parked = self.batches, self.parked
        again, uncounted = self._repeated_later
        parts = {
            "in the table": self.live,
            "filtered": batches.filtered,
            "dropped": batches.dropped + parked.dropped,
            "repeated": batches.repeated + again,
            "in quarantine": parked.quarantined,
            "waiting": parked.waiting,
        }
        unknown = uncounted + batches.unknown + self._tidied
        return self._named(
            Check("rows accounted for", read, sum(parts.values()), unknown, _without_zeros(parts))
        )

    @property
    def _may_lose_later(self) -> bool:
        """Whether a row that was put aside may come to no row of the table when it goes on."""
        table = self.table
        return bool(
            table.dedupe
            or any(rule.otherwise == "drop" for rule in table.expect.values())
            or any(lookup.how == "inner" for lookup in table.lookups)
        )

    @property
    def _tidied(self) -> int:
        """Rows that waited, went on, and are not known any more, of which some may be dropped."""
        return max(0, self.batches.held - self.parked.held) if self._may_lose_later else 0

    @cached_property
    def _repeated_later(self) -> tuple[int, int]:
        """Rows that went on and were in the table already; and those that may have been."""
        if not self.table.dedupe or not self.parked.went_on:
            return 0, 0
        added = self.log.added_later
        if added is None:
            return 0, self.parked.went_on
        return max(0, self.parked.went_on - added), 0

    @cached_property
    def _added(self) -> int | str:
        """Rows that were added to the table, less those that a delete took away again."""
        later = self.log.added_later
        if later is None:
            return "the table's log no longer tells of rows that went on later"
        removed = 0
        if self._changes and (cut_off := self.batches.cut_off):
            # Told of these are also rows that were changed.
            return f"batch {cut_off[0]} was written by a run that was cut off"
        if self.table.deletes and self.table.deletes.how == "hard":
            taken_away = self.log.removed
            if taken_away is None:
                return "the table's log no longer tells of rows that were deleted"
            removed = taken_away
        return self.batches.rows_out + later - removed + self.has_member

    @property
    def _changes(self) -> bool:
        """Whether a batch may change rows of the table."""
        dedupe = self.table.dedupe
        return self.table.write != "append" or bool(dedupe and dedupe.keep != "first")

    def _named(self, check: Check) -> Check:
        """The check; where it is not right, with commits that nobody here has made."""
        if check.is_right:
            return check
        strange = self.log.strange
        named = tuple(
            Mismatch(f"version {one.version}: {one.info.get('operation')} by none of its queries")
            for one in strange[: self.show]
        )
        return Check(
            check.what, check.expected, check.found, check.unknown, check.parts, named, len(strange)
        )


def _without_zeros(parts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in parts.items() if count or name == "in the table"}


def _cannot(ref: TableRef, why: str) -> UsageError:
    return UsageError(
        f"{ref} cannot be verified: {why}",
        untouched="nothing was compared",
        next_step="`medallion run silver`; then verify again",
    )
