"""Accounts for a silver table's rows: each row that was read is in exactly one place.

If each source row becomes one row, the rows of the source are those in the table plus those
filtered, dropped, parked or left out as duplicates. If a source row can become several rows, or
later rows change it, only the rows read are compared with the source, and the rows added with
the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import duckdb

from medallion_jobs.checkpoint import QueryFolder, manifest, rebuilds
from medallion_jobs.checkpoint.offsets import Offset
from medallion_jobs.config import Pipeline, SilverTable, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import commit_of, snapshot
from medallion_jobs.refine.batch_context import BatchContext
from medallion_jobs.report.lake_views import scan
from medallion_jobs.report.verify.batches import Batches
from medallion_jobs.report.verify.check import Audit, Check, Mismatch
from medallion_jobs.report.verify.commit_log import CommitLog
from medallion_jobs.report.verify.parked_rows import Parked
from medallion_jobs.report.verify.versions import history, missing_files
from medallion_jobs.storage import Location


def audit(duck: duckdb.DuckDBPyConnection, config: Pipeline, name: str, show: int) -> Audit:
    """Accounts for the rows of one silver table.

    Args:
        show: the maximum number of batches or commits to list.

    Raises:
        UsageError: the table was never written.
    """
    return _Silver.of(duck, config, name, show).audit()


@dataclass(frozen=True)
class _Silver:
    """One table, as of its newest batch with metrics.

    Attributes:
        has_member: whether the table has an unknown member.
        log: the table's commits up to that batch.
        in_part: whether a part of the table was rebuilt, which no batch has counted.
    """

    duck: duckdb.DuckDBPyConnection
    config: Pipeline
    show: int
    has_member: bool
    log: CommitLog
    batches: Batches
    parked: Parked
    in_part: bool = False

    @classmethod
    def of(cls, duck: duckdb.DuckDBPyConnection, config: Pipeline, name: str, show: int) -> _Silver:
        ref = TableRef("silver", name)
        paths = TablePaths(config, ref)
        query_folder, path = QueryFolder.of(paths), paths.data
        table, recorded = snapshot(path), manifest.read(query_folder)
        if table is None or recorded is None or recorded.current.binding is None:
            was_reset = table is not None and recorded is not None
            raise _cannot(
                ref, "it was reset, and has not run since" if was_reset else "it never ran"
            )
        generation, logic = recorded.current.number, recorded.current.binding.logic
        app_id = query_folder.checkpoint(generation).app_id
        written = table.txn(app_id)
        batches = Batches.read(duck, config, ref, generation, written)
        if written >= 0 and written not in batches.numbers:
            # The batch is in the table, but has no metrics yet: a run is between the two.
            commit = commit_of(path, app_id, written)
            before = snapshot(path, commit.version - 1) if commit else None
            if before is not None and before.version < table.version:
                table, batches = before, batches.before(written)
        commit = commit_of(path, app_id, batches.last)
        timestamp = BatchContext.of(commit).moment if commit else None
        return cls(
            duck=duck,
            config=config,
            show=show,
            has_member="unknown_member" in logic.state,
            log=CommitLog(table, ref, app_id),
            batches=batches,
            parked=Parked.read(duck, config, ref, table, generation=generation, until=timestamp),
            in_part=table.txn(rebuilds(str(ref))) > recorded.current.rebuild,
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
                f"rows read and written: not compared: metrics.batches has no row for batch "
                f"{', '.join(map(str, missing[:3]))}" + (" and others" if missing[3:] else "")
            )
        else:
            read = None if isinstance(version, str) else self._count(source, version)
            checks += self._checks(read, remarks)
        at = "" if isinstance(version, str) else f" at version {version}"
        return Audit(str(self.ref), f"{self.table.from_}{at}", tuple(checks), tuple(remarks))

    def _checks(self, read: int | None, remarks: list[str]) -> Iterator[Check]:
        batches = self.batches
        if read is not None and batches.rows_in is None:
            remarks.append("rows read: not compared: a batch has no count of the rows it read")
            read = None
        if read is not None and batches.rows_in is not None:
            yield Check("rows read", read, batches.rows_in)
        not_one_to_one = self._not_one_to_one
        if not_one_to_one is None:
            yield from batches.balanced(self.show)
            if read is not None:
                yield self._account(read)
        else:
            remarks.append(f"rows accounted for: not compared: {not_one_to_one}")
        added = self._added
        if isinstance(added, str):
            remarks.append(f"rows added: not compared: {added}")
        else:
            yield self._named(Check("rows in the table", added, self.live))

    @cached_property
    def live(self) -> int:
        return self._count(self.ref, self.log.snapshot.version)

    def _count(self, ref: TableRef, version: int) -> int:
        table = scan(TablePaths(self.config, ref).data, version)
        counted = self.duck.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        return int(counted[0]) if counted else 0

    @cached_property
    def _source(self) -> tuple[TableRef, int | str]:
        """The source, and the version up to which it is read, or why that cannot be counted."""
        source = self.table.from_
        query_folder = QueryFolder.of(TablePaths(self.config, self.ref))
        reached = Offset.after(query_folder.checkpoint(self.batches.generation), self.batches.last)
        if reached is None or reached.whole is None:
            return source, f"it has read a version of {source} only in part"
        path = TablePaths(self.config, source).data
        missing = missing_files(path, reached.whole)
        if missing:
            return source, f"{source}: {missing}"
        return source, self._skipped(path, reached.whole) or reached.whole

    def _skipped(self, path: Location, version: int) -> str | None:
        """Why a version of the source has not the rows that were read, if it has not."""
        if self.table.on_source_change != "keep":
            return None
        checkpoint = QueryFolder.of(TablePaths(self.config, self.ref)).checkpoint(
            self.batches.generation
        )
        try:
            first = Offset.after(checkpoint, 0)
        except OSError:  # Spark keeps the offsets of the last batches only
            first = None
        since = first.next_commit if first else 0
        changed = (c for c in history(path, version) if c.removed and c.version >= since)
        commit = next(changed, None)
        return f"rows of {self.table.from_} were changed or removed: {commit}" if commit else None

    @property
    def _not_one_to_one(self) -> str | None:
        """Why a source row may not become exactly one row; None if it always does."""
        table = self.table
        if self.in_part:
            return "a part of the table was rebuilt, which no batch has counted"
        if table.explode:
            return "`explode` turns a row into several"
        if table.transform:
            return f"`transform: {table.transform}` may turn a row into several, or none"
        if table.apply_changes or table.write != "append":
            return f"`{table.how_written}` changes existing rows"
        if table.dedupe and table.dedupe.keep != "first":
            return f"`dedupe: keep: {table.dedupe.keep}` replaces existing rows"
        return None

    def _account(self, read: int) -> Check:
        batches, parked = self.batches, self.parked
        duplicates, uncounted = self._duplicates_later
        parts = {
            "in the table": self.live,
            "filtered": batches.filtered,
            "dropped": batches.dropped + parked.dropped,
            "repeated": batches.repeated + duplicates,
            "in quarantine": parked.quarantined,
            "waiting": parked.waiting,
        }
        unknown = uncounted + batches.unknown + self._removed_held_rows
        return self._named(
            Check("rows accounted for", read, sum(parts.values()), unknown, _without_zeros(parts))
        )

    @property
    def _may_lose_later(self) -> bool:
        """Whether a parked row may not reach the table when it is released."""
        table = self.table
        return bool(
            table.dedupe
            or any(rule.otherwise == "drop" for rule in table.expect.values())
            or any(lookup.how == "inner" for lookup in table.lookups)
        )

    @property
    def _removed_held_rows(self) -> int:
        """Held rows that were released and then removed; some of them may have been dropped."""
        return max(0, self.batches.held - self.parked.held) if self._may_lose_later else 0

    @cached_property
    def _duplicates_later(self) -> tuple[int, int]:
        """Released rows that were already in the table, and those that may have been."""
        if not self.table.dedupe or not self.parked.went_on:
            return 0, 0
        added = self.log.added_later
        if added is None:
            return 0, self.parked.went_on
        return max(0, self.parked.went_on - added), 0

    @cached_property
    def _added(self) -> int | str:
        """Rows added to the table, less those deleted again; or why they cannot be counted."""
        if self.in_part:
            return "a part of the table was rebuilt"
        later = self.log.added_later
        if later is None:
            return "the table's log no longer has all commits of released rows"
        removed = 0
        if self._changes and (cut_off := self.batches.cut_off):
            # The metrics of such a batch also count changed rows.
            return f"batch {cut_off[0]} was written by an interrupted run"
        removes = self.table.deletes is not None and self.table.deletes.how == "hard"
        if removes or self.table.apply_changes or self.table.snapshot:
            deleted = self.log.removed
            if deleted is None:
                return "the table's log no longer has all commits that deleted rows"
            removed = deleted
        return self.batches.rows_out + later - removed + self.has_member

    @property
    def _changes(self) -> bool:
        """Whether a batch may change rows of the table."""
        return self.table.changes_rows

    def _named(self, check: Check) -> Check:
        """The check; if it fails, with the commits by others than the table's queries."""
        if check.is_right:
            return check
        foreign = self.log.foreign
        named = tuple(
            Mismatch(f"version {c.version}: {c.info.get('operation')} by none of its queries")
            for c in foreign[: self.show]
        )
        return Check(
            check.what, check.expected, check.found, check.unknown, check.parts, named, len(foreign)
        )


def _without_zeros(parts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in parts.items() if count or name == "in the table"}


def _cannot(ref: TableRef, reason: str) -> UsageError:
    return UsageError(
        f"{ref} cannot be verified: {reason}",
        code="cannot_verify",
        untouched="nothing was compared",
        next_step="`medallion run silver`; then verify again",
    )
