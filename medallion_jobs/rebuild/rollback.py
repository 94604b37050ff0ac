"""Back to the generation before: its rows, and its checkpoint, from which its query goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from medallion_jobs.checkpoint import Generation, Manifest, QueryFolder, journal, manifest, rebuilds
from medallion_jobs.checkpoint.journal import Journal
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import adopt
from medallion_jobs.rebuild import common
from medallion_jobs.rebuild.chain import stream_of
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Rollback:
    """The way back of one silver or gold table to its generation before.

    What the source got since then is read by the earlier checkpoint, each row once. The newer
    generation keeps its checkpoint, and its rows stay in the table's history.
    """

    config: Pipeline
    ref: TableRef

    def refuse_impossible(self) -> None:
        """Refuses a way back after which rows would be missing, doubled or wrong.

        Raises:
            UsageError: with the reason.
        """
        if self.journal is None and (reason := next(self._reasons(), None)):
            raise UsageError(
                f"{self.ref} cannot go back to an earlier generation: {reason}",
                code="rollback_not_possible",
                untouched="nothing was changed",
                next_step=f'compute it again: `medallion rebuild {self.ref} --reason "…" --yes`',
            )

    @property
    def journal(self) -> Journal | None:
        """A way back that was interrupted.

        Raises:
            UsageError: a rebuild of the table is under way.
        """
        found = journal.read(self.config, self.ref)
        if found and not found.goes_back:
            raise UsageError(
                f"a rebuild of {self.ref} is under way, which {found.by} began",
                code="rebuild_under_way",
                untouched="nothing was changed",
                next_step=f"finish it: `{found.command}`; or remove it: "
                f"`medallion rebuild {self.ref} --abandon`",
            )
        return found

    @property
    def goal(self) -> tuple[int, int]:
        """The generation, and the version of the table, to which it goes back."""
        return self._before.number, self._version_of_before

    def carry_out(self, reason: str, spark: SparkSession, *, patience: float) -> Journal:
        """Goes back, or finishes a way back that was interrupted.

        Args:
            patience: seconds to wait for runs of the table's query, and of its readers.

        Raises:
            LockHeld: such a run goes on.
            UsageError: as `refuse_impossible`.
            DataError: files of the earlier version are gone; nothing was changed.
        """
        with common.held(self.config, self.ref, patience):
            self.refuse_impossible()
            now = self.journal
            if now is None:
                number, version = self.goal
                adopt.refuse_removed_files(spark, self._places.data, version)
                known = {
                    "phase": "swapping",
                    "goes_back": True,
                    "number": common.next_number(self.config, self.ref),
                    "rows_before": common.rows(spark, self._places.data),
                }
                opened = common.journal_of(self.config, self.ref, reason, number)
                now = opened.model_copy(update=known)
                journal.write(self.config, self.ref, now)
            try:
                self._go_back(spark, now)
            except Exception:
                app_id = rebuilds(str(self.ref))
                places = [place for place, _ in self._tables()]
                if not any(common.has(place, app_id, now.number) for place in places):
                    journal.file_of(self.config, self.ref).unlink(missing_ok=True)
                raise
        journal.file_of(self.config, self.ref).unlink(missing_ok=True)
        return now

    def _go_back(self, spark: SparkSession, now: Journal) -> None:
        kept = self._recorded
        if kept.current.rebuild != now.number:
            app_id = rebuilds(str(self.ref))
            notes = {"rebuild": {"number": now.number, "reason": now.reason}}
            for table, version in self._tables():
                if not common.has(table, app_id, now.number):
                    txns = {app_id: now.number}
                    adopt.go_back(spark, table, version, txns=txns, notes=notes)
            reason = f"back to v{now.after}: {now.reason}"
            back = kept.returning(self._before, reason, rebuild=now.number)
            manifest.write(self._folder, back)
        common.tell(self.config, self.ref, spark, now)

    def _tables(self) -> Iterator[tuple[Location, int]]:
        """The tables that go back, each with its version: the change log, then the table."""
        changes = self._version_of_changes
        if changes is not None:
            yield self._places.changes, changes
        yield self._places.data, self._version_of_before

    def _reasons(self) -> Iterator[str]:
        if self._manifest is None or len(self._manifest.generations) == 1:
            yield "it has none"
            return
        silver = self.config.silver.get(self.ref.name) if self.ref.layer == "silver" else None
        if silver and silver.apply_changes and silver.apply_changes.transactional:
            yield "changes that wait for their transaction have no generations"
            return
        before, bound = self._before, self._before.binding
        name = f"v{before.number}"
        checkpoint = self._folder.checkpoint(before.number)
        if bound is None:
            yield f"{name} never ran"
            return
        if not checkpoint.path.is_dir():
            yield f"the checkpoint of {name} is gone: `medallion maintain` removes old ones"
            return
        table, claim = tables.snapshot(self._places.data), stream_of(self.config, self.ref).claim
        if table is None or table.id != bound.target_id:
            yield f"its table is not the one that {name} has written"
            return
        written = table.txn(checkpoint.app_id)
        if not written == checkpoint.latest_commits == checkpoint.latest_offsets:
            yield f"{name} was interrupted in a batch"
        if claim.logic.state != bound.logic.state:
            yield f"the config of now is not the one of {name}: put that back first"
        for fault in claim.offsets.faults(checkpoint, bound):
            yield fault.reason
        if self._found_version is None:
            yield f"the table's log no longer has the commits of {name}"
        if self._has_changes and self._version_of_changes is None:
            yield f"its change log was emptied after {name}, by a reset"

    @cached_property
    def _places(self) -> TablePaths:
        return TablePaths(self.config, self.ref)

    @property
    def _folder(self) -> QueryFolder:
        return QueryFolder.of(self._places)

    @cached_property
    def _manifest(self) -> Manifest | None:
        return manifest.read(self._folder)

    @property
    def _recorded(self) -> Manifest:
        assert self._manifest is not None  # checked first
        return self._manifest

    @property
    def _before(self) -> Generation:
        return self._recorded.generations[-2]

    @cached_property
    def _found_version(self) -> int | None:
        """The table's version with the newest commit of the earlier generation."""
        table = tables.snapshot(self._places.data)
        own, newest = f"{self.ref}/v{self._before.number}", self._recorded.current.rebuild
        for version in range(table.version if table else -1, -1, -1):
            commit = next(tables.commits(self._places.data, version), None)
            if commit is None:
                return None
            rebuild = commit.user_metadata.get("rebuild", {})
            is_part = rebuild.get("part") is not None and rebuild["number"] <= newest
            if is_part or any(f"{app_id}/".startswith(f"{own}/") for app_id in commit.txns):
                return version
        return None

    @property
    def _version_of_before(self) -> int:
        assert self._found_version is not None  # checked first
        return self._found_version

    @property
    def _has_changes(self) -> bool:
        table = self.config.silver.get(self.ref.name) if self.ref.layer == "silver" else None
        return bool(table and (table.apply_changes or table.snapshot)) and (
            tables.snapshot(self._places.changes) is not None
        )

    @cached_property
    def _version_of_changes(self) -> int | None:
        """The change log's version before the rebuild that opened the current generation."""
        number = self._recorded.current.rebuild
        if not self._has_changes or number <= self._before.rebuild:
            return None
        commit = tables.commit_of(self._places.changes, rebuilds(str(self.ref)), number)
        return commit.version - 1 if commit else None
