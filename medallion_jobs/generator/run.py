"""One run of the generator: makes and writes each file, then writes a summary."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping

from medallion_jobs.errors import MedallionError, TransientError, UsageError
from medallion_jobs.generator.feed import Feed, MadeFile
from medallion_jobs.generator.files import publish
from medallion_jobs.generator.pace import Pace, Wait, wait_all
from medallion_jobs.generator.plan import Plan
from medallion_jobs.generator.summary import FileCounts, Summary
from medallion_jobs.storage import Location

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def generate(
    feed: Feed,
    plan: Plan,
    *,
    landing: Mapping[str, Location],
    summaries: Location,
    on_file: Callable[[FileCounts], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    wait: Wait = wait_all,
) -> Summary:
    """Writes the files of a plan.

    Args:
        feed: makes the files.
        plan: what to make.
        landing: the landing folder of each bronze table; created if it is missing.
        summaries: the folder for the summary, outside of those, so that it is not read as data.
        on_file: called with each file once it is written.
        clock: a monotonic clock, in seconds.
        wait: waits between files if the plan has a rate; may ask to stop.

    Raises:
        TransientError: no space is left.
        UsageError: the folder is not writable, or has a file of the same name with other
            bytes.
    """
    files: list[FileCounts] = []
    pace = Pace(plan, clock=clock, wait=wait)
    try:
        if plan.file_count:
            for table in feed.tables:
                landing[table].mkdir(parents=True, exist_ok=True)
        for number in pace.numbers():
            for made in feed.make(plan, number):
                written = publish(landing[made.table], made.name, made.content)
                files.append(_counts(number, made, written))
                if on_file:
                    on_file(files[-1])
        summary = Summary(
            feed=feed.name,
            plan=plan,
            kinds=feed.kinds,
            files=tuple(files),
            seconds=pace.elapsed,
            behind_seconds=pace.behind,
            stopped=pace.stopped,
        )
        summary.save(summaries)
    except OSError as error:
        raise _cannot_write(error, plan, files, landing[feed.tables[0]]) from error
    return summary


def _counts(number: int, made: MadeFile, written: bool) -> FileCounts:
    return FileCounts(
        number=number,
        table=made.table,
        name=made.name,
        lines=sum(made.counts.values()),
        counts=made.counts,
        new_column=made.new_column,
        repeats=made.repeats,
        already_there=not written,
    )


def _cannot_write(
    error: OSError, plan: Plan, files: list[FileCounts], landing: Location
) -> MedallionError:
    again = f"--seed {plan.seed} --now {plan.now:%Y-%m-%dT%H:%M:%SZ}"
    kind = TransientError if error.errno in _NO_ROOM else UsageError
    return kind(
        f"cannot write {error.filename or landing}: {error.strerror}",
        code="cannot_write_files",
        untouched=f"the {len(files)} files made before are complete; they have no summary",
        next_step=f"free space or fix the folder, then run the same command with {again}: "
        "it continues from there",
    )
