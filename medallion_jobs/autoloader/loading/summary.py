"""Summarises a batch of files, for the run's progress and metrics."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timezone

from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.autoloader.ledger.tables import Outcome, State
from medallion_jobs.engine.stream import Written
from medallion_jobs.observe.set_aside import aside_text


def written_of(
    outcomes: Sequence[Outcome],
    remarks: Sequence[str],
    waiting: Collection[FileEntry],
    listing_seconds: float | None,
) -> Written:
    """The batch in numbers, with remarks for the user.

    Args:
        waiting: files that are admitted and not read yet.
    """
    new = [outcome for outcome in outcomes if outcome.is_new]
    rows, bad = sum(o.rows for o in new), sum(o.bad for o in new)
    about_files = (
        f"{to_path(o.file.path)}: {o.state.value}: {o.error}" for o in outcomes if o.error
    )
    aside = [o for o in new if o.state is State.QUARANTINED]
    return Written(
        rows_in=rows + bad,
        rows_out=rows,
        files=len(outcomes),
        files_aside=len(aside),
        aside_example=aside_text(aside[0].file.path, aside[0].error or "") if aside else None,
        bytes=sum(o.file.size for o in new),
        rescued=sum(o.rescued for o in new),
        quarantined=bad,
        listing_seconds=listing_seconds,
        files_left=len(waiting),
        bytes_left=sum(file.size for file in waiting),
        oldest_waiting_seconds=_age(waiting),
        remarks=(*remarks, *about_files),
    )


def _age(files: Collection[FileEntry]) -> float | None:
    """Seconds since the last change of the oldest file."""
    if not files:
        return None
    now = datetime.now(timezone.utc).timestamp()
    return max(0.0, now - min(file.modified_us for file in files) / 1_000_000)
