"""The result of a micro-batch: one record, and all reports of a batch are made from it.

The console line, the JSON event, the batch table and `medallion verify` take their fields from
`Written`. A new count is a field here, and its name in `NOT_WRITTEN` if it counts rows that
were read and are not in the table.
"""

from __future__ import annotations

from dataclasses import dataclass

from medallion_jobs.observe.set_aside import SetAside

# Where a row that was read can be, if it is not in the table.
NOT_WRITTEN = ("quarantined", "filtered", "dropped", "held", "repeated")


@dataclass(frozen=True, kw_only=True)
class Written:
    """The counts of a micro-batch.

    Attributes:
        rows_out: rows that the batch wrote.
        rows_in: rows or records that were read; None if they are counted from the source's log.
        files: landing files that were read; 0 if the batch read a table.
        files_aside: those of them that could not be read.
        aside_example: one of these, and why.
        bytes: size of these files.
        rescued: rows with rescued data.
        quarantined: rows that were moved to quarantine.
        filtered: rows that do not match the table's `where`.
        dropped: rows that a rule or an inner lookup dropped.
        held: rows that are held until a dimension has their key.
        repeated: duplicate rows, and rows older than the one in the table.
        files_left, bytes_left: discovered files that wait for a batch, and their size; None for
            a query that reads a table.
        oldest_waiting_seconds: time since the last change of the oldest of these files; None
            if there are none.
        listing_seconds: duration of the last search for new files; None if there was none.
        remarks: notes for the user, such as rows without a match.
        set_aside: which rows are missing and why, if most are not in the table; else None.
    """

    rows_out: int
    rows_in: int | None = None
    files: int = 0
    files_aside: int = 0
    aside_example: str | None = None
    bytes: int = 0
    rescued: int = 0
    quarantined: int = 0
    filtered: int = 0
    dropped: int = 0
    held: int = 0
    repeated: int = 0
    files_left: int | None = None
    bytes_left: int | None = None
    oldest_waiting_seconds: float | None = None
    listing_seconds: float | None = None
    remarks: tuple[str, ...] = ()
    set_aside: SetAside | None = None

    @classmethod
    def by_earlier_run(cls, rows: int) -> Written:
        """The result of a batch that an earlier run wrote before it was interrupted.

        `medallion verify` finds such batches by this remark, also in tables of earlier versions,
        so its text stays.
        """
        return cls(rows_out=rows, remarks=("written by the run before, which was cut off",))
