"""What a micro-batch came to: the one record from which all that is reported of it is made.

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
        rows_in: rows or records that were read; None where the source's own log tells.
        files: landing files that were read; 0 where it read a table.
        bytes: the size of these files.
        rescued: rows with rescued data.
        quarantined: rows that were put aside for somebody to look at.
        held: rows that wait until a dimension has their key.
        filtered: rows that the table does not take.
        dropped: rows that a rule, or a lookup that demands a match, left out.
        repeated: duplicates of existing rows, or rows older than the existing ones.
        files_left, bytes_left: files that were found and wait for a batch, and their size; None
            for a query that reads a table.
        oldest_waiting_seconds: since the last change of the oldest of these files; None when
            no file waits.
        listing_seconds: how long the last look for new files took; None where there are none.
        remarks: what somebody should know of it, such as rows without a match.
        set_aside: where most of its rows did not get into the table, which and why.
    """

    rows_out: int
    rows_in: int | None = None
    files: int = 0
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
    def before(cls, rows: int) -> Written:
        """A batch that the run before wrote, and was then cut off.

        `medallion verify` knows such a batch by this remark, also in the tables of earlier
        versions: its text stays.
        """
        return cls(rows_out=rows, remarks=("written by the run before, which was cut off",))
